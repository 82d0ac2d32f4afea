"""The main numbers of a finished run, each with its interval and origin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Table

from tckr.artifacts.agreement import read_agreement
from tckr.artifacts.audit import PLAIN, AuditResult
from tckr.artifacts.synthetic import Candidates
from tckr.cli.terminal import escape
from tckr.errors import printable
from tckr.html.numbers import p_text, rounded_down
from tckr.membership.largest import no_better_sentence
from tckr.membership.refutation import refutation_text
from tckr.membership.rows import CanaryRow, canary_rows, surface_rows
from tckr.membership.wording import judged_units, together_lines, verdict_text
from tckr.membership.worth import classes_line, worth_sentences
from tckr.metrics.estimate import Measured, describe_difference
from tckr.metrics.results import PairedTest
from tckr.pipeline import STAGES

if TYPE_CHECKING:
    from tckr.running import RunResult


def print_summary(result: RunResult, console: Console) -> None:
    """Print Teacher and Student accuracy, the verdict, and where the results are stored."""
    if "audit" in result.artifacts:
        audit = AuditResult.read(result.artifacts["audit"])
        if warning := no_better_sentence(audit):
            say(console, warning, "yellow")
        console.print(_table(audit))
        if audit.paired:
            say(console, paired_line(audit.paired))
        for line in worth_lines(result, audit):
            say(console, line)
        if audit.measured:
            if audit.declared.unit == "group":
                say(console, f"Audit, {judged_units(audit.declared)}")
            console.print(leakage_table(audit))
            for line in [f"{name} leaks: {why}" for name, why in hidden_leaks(audit)] + together_lines(audit):
                say(console, line)
        if audit.canaries:
            console.print(canaries(audit))
        _say_privacy(console, audit)
    for name, path in _places(result).items():
        say(console, f"{name:<14} {path}")


def _say_privacy(console: Console, audit: AuditResult) -> None:
    say(console, f"Privacy: {verdict_text(audit.verdict)}", "green" if audit.valid else "yellow")
    if audit.guarantee:
        say(console, refutation_text(audit.guarantee), "red" if audit.refuted else None)


def summary_json(result: RunResult) -> dict[str, Any]:
    """Return the content of `print_summary` for --json: numbers with intervals, verdict, states and paths."""
    found: dict[str, Any] = {
        "folder": str(result.folder.absolute()),
        "artifacts": {name: str(path.absolute()) for name, path in result.artifacts.items() if name in STAGES},
        "report": str((result.folder / "report" / "report.html").absolute()) if "report" in result.artifacts else None,
    }
    if "audit" in result.artifacts:
        audit = AuditResult.read(result.artifacts["audit"])
        found |= {
            "accuracy": {name: _plain(audit.surfaces[name].cas) for name in ("teacher", "student")},
            "student_minus_teacher": _plain(audit.paired.difference) if audit.paired else None,
            "num_test": audit.declared.num_test,
            "verdict": {"state": audit.verdict.state, "text": verdict_text(audit.verdict), "valid": audit.valid},
            "surfaces": {
                row.key: {"state": row.state, "attack": row.attack, "auc": row.auc.model_dump(mode="json"), "why": row.why}
                for row in surface_rows(audit)
            },
        }
        if audit.guarantee:
            claimed = audit.guarantee.claimed
            found["guarantee"] = {
                "epsilon": claimed.epsilon,
                "delta": claimed.delta,
                "refuted": audit.refuted,
                "text": refutation_text(audit.guarantee),
            }
    return found


def _plain(measured: Measured) -> Any:
    return TypeAdapter(Measured).dump_python(measured, mode="json")


def say(console: Console, text: str, style: str | None = None) -> None:
    """Print one line literally; text from a user's files cannot control the terminal."""
    console.print(printable(text), style=style, soft_wrap=True, markup=False)


def audit_stands(result: RunResult) -> bool:
    """Return whether no control of the audit failed and no guarantee was refuted; without an audit there is none of them."""
    if "audit" not in result.artifacts:
        return True
    audit = AuditResult.read(result.artifacts["audit"])
    return (audit.valid or not audit.measured) and not audit.refuted


def _table(audit: AuditResult) -> Table:
    declared = audit.declared
    origin = f"{declared.num_reference_runs} reference runs, depth {declared.depth}, {declared.scorer}"
    table = Table(
        title=f"{declared.num_test} locked test images; {origin}"
        if audit.measured
        else f"{declared.num_test} locked test images",
        title_justify="left",
    )
    for heading in ("", "Teacher (private)", "Student (synthetic only)"):
        table.add_column(heading)
    surfaces = [audit.surfaces["teacher"], audit.surfaces["student"]]
    table.add_row("accuracy (CAS)", *(str(surface.cas) for surface in surfaces))
    if audit.largest_class:
        table.add_row("balanced accuracy", *(str(surface.balanced_cas) for surface in surfaces))
        table.add_row(escape(f"always '{audit.largest_class.name}'"), *[f"{audit.largest_class.share:.2f}"] * 2)
    if audit.measured:
        limit = " (Student: through labels; generator shared)" if declared.generator_shared else ""
        runs = (surface.leave_one_out.get(declared.scorer) for surface in surfaces)
        table.add_row(f"membership AUC, mean over runs{limit}", *(str(found.mean) if found else "-" for found in runs))
        if declared.unit == "group":
            single = (surface.on_records if surface.attack == declared.scorer else None for surface in surfaces)
            table.add_row("  of single records", *(str(found or "-") for found in single))
        table.add_row("  of this run alone", *(str(surface.auc.get(declared.scorer, "-")) for surface in surfaces))
        table.add_row("AUC without references", *(str(surface.auc.get(PLAIN, "-")) for surface in surfaces))
        table.add_row(f"AOP{limit}", *(str(surface.aop) for surface in surfaces))
    return table


def paired_line(test: PairedTest) -> str:
    """Return the paired comparison of Student and Teacher as one line."""
    gained = "1 image" if test.only_student == 1 else f"{test.only_student:,} images"
    return (
        f"Student - Teacher: {describe_difference(test.difference)}; {gained} gained, "
        f"{test.only_teacher:,} lost, p {p_text(test.p_value)}"
    )


def worth_lines(result: RunResult, audit: AuditResult) -> list[str]:
    """Return lines on the value of the synthetic images, and on the agreement by class."""
    agreement = read_agreement(result.artifacts["label"]) if "label" in result.artifacts else {}
    judged = Candidates.read_if_there(result.artifacts["generate"]) if "generate" in result.artifacts else None
    lines = [classes_line(agreement), candidates_line(judged) if judged else ""]
    return [*worth_sentences(audit, agreement), *(line for line in lines if line)]


def candidates_line(judged: Candidates) -> str:
    """Return how many images were generated until the Teacher recognised them, and which share it recognised."""
    total = judged.total
    unrecognised = total["n"] - total["recognised"]
    return (
        f"Generated: {total['candidates']:,} candidates for {total['n']:,} images; the Teacher recognised "
        f"{total['recognised'] / max(1, total['candidates']):.2f}; {unrecognised:,} images are not recognised after "
        f"{judged.redraws} redraws"
    )


def leakage_table(audit: AuditResult) -> Table:
    """Return a table of release surfaces with attack, AUC and state; narrower than 100 columns."""
    rows = surface_rows(audit)
    weak = any(row.attack and not row.has_references for row in rows)
    table = Table(
        title="Leakage by release surface" + ("" if audit.valid else ": audit invalid, do not use"),
        title_justify="left",
        caption="* no reference runs: weak, without controls; finding no leak proves nothing" if weak else None,
        caption_justify="left",
        style="" if audit.valid else "dim",
        row_styles=[] if audit.valid else ["dim"],
    )
    for heading in ("surface", "attack", "AUC (0.5 = guessing)", "state"):
        table.add_column(heading)
    for row in rows:
        attack = row.attack + ("*" if row.attack and not row.has_references else "")
        table.add_row(*(escape(cell) for cell in (row.name, attack, row.auc.text, row.state)))
    return table


def hidden_leaks(audit: AuditResult) -> list[tuple[str, str]]:
    """Return name and reason of surfaces that leak although the interval of their AUC contains 0.5."""
    leaking = [row for row in surface_rows(audit) if row.state == "leaks"]
    return [(row.name, row.why) for row in leaking if row.auc.low is not None and row.auc.low <= 0.5]


def canaries(audit: AuditResult) -> Table:
    """Return a table of the epsilon bounds that the canaries of one run prove; needs no reference run."""
    rows = canary_rows(audit)
    table = Table(
        title="Canaries: epsilon and mu cannot be lower than these bounds",
        title_justify="left",
        caption="\n".join(
            dict.fromkeys([*(f"{row.surface}: {row.conditions}" for row in rows if row.conditions), *_assumptions(rows)])
        ),
        caption_justify="left",
    )
    for heading in ("surface", "kind", "epsilon at least", "mu at least", "guesses right"):
        table.add_column(heading)
    for row in rows:
        bound = row.bound.text if row.bound.value is None else rounded_down(row.bound.value)
        mu = "" if row.mu.value is None else rounded_down(row.mu.value)
        table.add_row(*(escape(cell) for cell in (row.surface, row.kind, bound, mu, row.guessed or row.bound.reason)))
    return table


def _assumptions(rows: list[CanaryRow]) -> list[str]:
    return [row.assumes for row in rows if row.assumes]


def _places(result: RunResult) -> dict[str, object]:
    names = {"generate": "synthetic set", "distill": "Student"}
    places: dict[str, object] = {
        label: result.folder / "artifacts" / name for name, label in names.items() if name in result.artifacts
    }
    if "report" in result.artifacts:
        places["report"] = result.folder / "report" / "report.html"
    return places or {"artifacts": result.folder / "artifacts"}
