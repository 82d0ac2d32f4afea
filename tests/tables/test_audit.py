"""Tables of scores that users bring: what is read, what is refused, and that ours come back as they were written."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tckr.artifacts.audit import AuditResult, Together, Verdict, VerdictReason
from tckr.errors import UserError
from tckr.membership.config import MembershipConfig
from tckr.membership.scores import write_scores
from tckr.membership.verdict import judge
from tckr.tables.audit import as_judged, judge_table, read_table
from tests.membership.worlds import evidence, membership, signals

RUNS, RECORDS = 6, 240


def privacy_numbers(result: AuditResult) -> dict[str, Any]:
    """Return everything about membership: what a table holds; accuracy and what follows from it left out."""
    left_out = {"cas", "balanced_cas", "over_largest", "per_class", "confusion", "ece", "brier", "nll", "aop"}
    surfaces = {name: surface.model_dump(exclude=left_out) for name, surface in result.surfaces.items()}
    for surface in surfaces.values():
        del surface["strongest"]["aop"]
    # Whether a record was classified rightly is no column, so parity compares one thing less, at another level.
    controls = [control for control in result.controls if control.name != "parity"]
    return {"surfaces": surfaces, "controls": controls, "verdict": result.verdict}


def together_of(result: AuditResult) -> dict[str, Together]:
    return {package.name: package.together for package in result.packages if package.together}


@pytest.mark.usefixtures("few_scorers")
@pytest.mark.parametrize("depth", ["distill", "full"])
@pytest.mark.parametrize("scorer", ["lira_offline_fixed_variance", "lira_online"])
@pytest.mark.parametrize("leak", [0.0, 6.0])
def test_our_own_table_gives_the_numbers_of_our_own_audit(tmp_path: Path, depth: str, scorer: str, leak: float) -> None:
    config = MembershipConfig(depth=depth, scorer=scorer)
    found = evidence(depth=depth, generator_leak=leak, num_references=5, records=240)
    write_scores(tmp_path / "scores.parquet", config, found)
    ours, theirs = (
        judge(config, found),
        judge_table(MembershipConfig(scorer=scorer), *read_table(tmp_path / "scores.parquet")),
    )
    assert privacy_numbers(theirs) == privacy_numbers(ours)
    assert theirs.generator_leaks == (leak > 0 and depth == "distill")
    assert theirs.declared == ours.declared.model_copy(update={"num_test": 0, "num_queries": 0})
    assert theirs.differences is None
    assert together_of(theirs) == together_of(ours)  # packages without an attack of their own follow from the surfaces
    assert set(together_of(ours)) == {package.name for package in theirs.packages}
    assert bool(together_of(ours)) == (depth == "full" or leak == 0)  # below, a leaking generator takes the references


def table(members: np.ndarray, values: np.ndarray, **columns: Any) -> pa.Table:
    """Return the four columns that a table needs, run by run, and others."""
    runs, records = (index.reshape(-1) for index in np.indices(members.shape))
    own = {"run": runs, "record": records, "member": members.reshape(-1), "value": values.reshape(-1)}
    return pa.table({**own, **columns})


def small_world() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)
    members = membership(generator, RUNS, RECORDS)
    return members, signals(generator, members, 1.0)


def write(tmp_path: Path, given: pa.Table) -> Path:
    pq.write_table(given, tmp_path / "given.parquet")
    return tmp_path / "given.parquet"


def save(tmp_path: Path, **arrays: Any) -> Path:
    np.savez(tmp_path / "given.npz", **arrays)
    return tmp_path / "given.npz"


def test_four_columns_or_two_arrays_are_enough_and_say_the_same(tmp_path: Path) -> None:
    members, values = small_world()
    rows, depth = read_table(write(tmp_path, table(members, values)))
    arrays, _ = read_table(save(tmp_path, members=members.astype(np.uint8), signals=values))
    assert (rows.members == members).all()
    assert (rows.signals["model"] == values).all()
    assert judge_table(MembershipConfig(), rows, depth) == judge_table(MembershipConfig(), arrays, "")


def test_order_of_rows_and_kind_of_ids_change_nothing(tmp_path: Path) -> None:
    members, values = small_world()
    ordered = table(members, values)
    names = np.array([f"image-{record:04d}.png" for record in range(RECORDS)])
    named = ordered.set_column(1, "record", pa.array(names[ordered.column("record").to_numpy()]).dictionary_encode())
    shuffled = named.take(np.random.default_rng(0).permutation(len(named)))
    found, _ = read_table(write(tmp_path, shuffled))
    assert found.records is not None
    assert found.records.tolist() == names.tolist()
    assert (found.members == members).all()
    assert (found.signals["model"] == values).all()


def test_surfaces_labels_and_controls_of_arrays_are_judged(tmp_path: Path) -> None:
    members, values = small_world()
    labels = np.array(["cat", "dog"])[np.arange(RECORDS) % 2]
    null, positive = values.mean(axis=0), values.mean(axis=0) + 9 * members[0]
    file = save(
        tmp_path,
        members=members,
        signals=np.stack([values, values[::-1]]),
        surfaces=np.array(["api", "weights"]),
        labels=labels,
        null=np.stack([null, null]),
        positive=np.stack([positive, positive]),
    )
    result = judge_table(MembershipConfig(), *read_table(file))
    assert set(result.surfaces) == {"api", "weights"}
    assert set(result.surfaces["api"].auc_by_class) == {"cat", "dog"}
    assert {(check.name, check.surface) for check in result.controls} == {
        (name, surface) for name in ("null", "positive", "planted", "parity") for surface in ("api", "weights")
    }
    assert "control_not_given" not in [reason.kind for reason in result.verdict.reasons]


def test_surfaces_and_signals_of_rows_keep_their_order_and_the_first_signal_is_declared(tmp_path: Path) -> None:
    members, values = small_world()
    parts = [
        table(members, values + shift, surface=[surface] * values.size, signal=[signal] * values.size)
        for shift, (surface, signal) in enumerate([("weights", "loss"), ("api", "margin"), ("api", "loss")])
    ]
    found, _ = read_table(write(tmp_path, pa.concat_tables(parts)))
    assert found.surfaces == {"weights": ("weights: loss",), "api": ("api: margin", "api: loss")}
    assert found.signals["api: loss"] == pytest.approx(values + 2)
    result = judge_table(MembershipConfig(), found, "")
    assert result.surfaces["api"].signal == "api: margin"
    assert set(result.surfaces["api"].other_signals) == {"api: loss"}


def test_rows_of_negative_runs_are_controls_whatever_they_say_of_members(tmp_path: Path) -> None:
    members, values = small_world()
    null = table(members[:1] & False, values[:1] - 1).set_column(0, "run", pa.array([-1] * RECORDS))
    found, _ = read_table(write(tmp_path, pa.concat_tables([null, table(members, values)])))
    assert (found.members == members).all()
    assert found.controls["null"]["model"] == pytest.approx(values[0] - 1)
    assert set(found.controls) == {"null"}


def test_verdict_says_which_controls_were_not_given_and_the_others_are_made(tmp_path: Path) -> None:
    members, values = small_world()
    result = judge_table(MembershipConfig(), *read_table(save(tmp_path, members=members, signals=values)))
    assert result.valid
    missing = [VerdictReason(kind="control_not_given", control=name) for name in ("null", "positive")]
    assert result.verdict == Verdict(state="valid", reasons=missing)
    assert {check.name for check in result.controls} == {"planted", "parity"}
    assert result.declared.depth == ""


def test_verdict_names_the_surfaces_that_lack_a_control(tmp_path: Path) -> None:
    config, found = MembershipConfig(), evidence(num_references=5)
    del found.controls["positive"]["soft_labels"]  # type: ignore[attr-defined]
    write_scores(tmp_path / "scores.parquet", config, found)
    result = judge_table(config, *read_table(tmp_path / "scores.parquet"))
    lacking = VerdictReason(kind="control_not_given", control="positive", surfaces=["soft_labels"])
    assert lacking in result.verdict.reasons


def test_an_attack_that_reads_how_many_runs_saw_a_record_is_refused_where_that_tells_membership(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    members = np.argsort(np.argsort(generator.random((RECORDS, 16)), axis=1), axis=1).T < 8
    found, depth = read_table(save(tmp_path, members=members, signals=generator.normal(size=members.shape)))
    with pytest.raises(UserError, match=r"bavaria_t_online.*expected a scorer.*audit\.scorer=lira_offline_fixed_variance"):
        judge_table(MembershipConfig(scorer="bavaria_t_online"), found, depth)
    advised = judge_table(MembershipConfig(scorer="lira_offline_fixed_variance"), found, depth).surfaces["model"].auc
    assert "bavaria_t_online" not in advised


def test_a_broken_attack_still_makes_a_given_table_invalid(tmp_path: Path) -> None:
    members, values = small_world()
    values[0] += 100  # the target is unlike its references
    result = judge_table(MembershipConfig(), *read_table(save(tmp_path, members=members, signals=values)))
    assert not result.valid
    assert VerdictReason(kind="control_failed", control="parity", surfaces=["model"]) in result.verdict.reasons


@pytest.mark.parametrize("ids", [7 * np.arange(RECORDS) + 100, np.array([f"{record:03d}.png" for record in range(RECORDS)])])
def test_a_written_table_keeps_ids_and_adds_the_score_of_the_declared_attack(tmp_path: Path, ids: np.ndarray) -> None:
    members, values = small_world()
    given = table(members, values)
    found, depth = read_table(write(tmp_path, given.set_column(1, "record", pa.array(np.tile(ids, RUNS)))))
    config = MembershipConfig(scorer="global_threshold")
    write_scores(tmp_path / "again.parquet", as_judged(config, depth), found, depth=depth)
    again = pq.read_table(tmp_path / "again.parquet").to_pydict()
    assert again["record"][:RECORDS] == ids.tolist()
    assert again["score"][:RECORDS] == values[0].tolist()
    assert judge_table(config, *read_table(tmp_path / "again.parquet")) == judge_table(config, found, depth)


def with_cell(given: pa.Table, name: str, value: Any, row: int = 300) -> pa.Table:
    cells = given.column(name).to_pylist()
    cells[row] = value
    return given.set_column(given.column_names.index(name), name, pa.array(cells))


def cast(given: pa.Table, name: str, kind: pa.DataType) -> pa.Table:
    return given.set_column(given.column_names.index(name), name, given.column(name).cast(kind))


def doubled(given: pa.Table) -> pa.Table:
    """Return the table with record 60 of run 1 given twice and record 61 not at all."""
    return with_cell(given, "record", 60, row=RECORDS + 61)


BROKEN_ROWS = {
    "no value": (lambda t: t.drop_columns("value"), "add value"),
    "unknown column": (lambda t: t.rename_columns(["run", "record", "member", "vlaue"]), "found the columns run, record"),
    "extra column": (lambda t: t.append_column("labels", t.column("run")), "rename or drop labels"),
    "no rows": (lambda t: t.slice(0, 0), "found no rows"),
    "empty cell": (lambda t: with_cell(t, "value", None), "column value has 1 empty cells"),
    "NaN": (lambda t: with_cell(t, "value", float("nan")), "model holds nan (1 such values, first in run 1"),
    "infinite": (lambda t: with_cell(t, "value", float("-inf")), "model holds -inf"),
    "text value": (lambda t: cast(t, "value", pa.string()), "column value is of type string"),
    "run with a fraction": (lambda t: cast(t, "run", pa.float64()), "column run is of type double"),
    "record with a fraction": (lambda t: t.set_column(1, "record", t.column("value")), "column record is of type double"),
    "membership of 2": (lambda t: with_cell(cast(t, "member", pa.int8()), "member", 2), "0, 1, 2"),
    "membership in words": (lambda t: cast(t, "member", pa.string()), "column member holds type"),
    "missing cell": (lambda t: pa.concat_tables([t.slice(0, 300), t.slice(301)]), "run 1 has record 60 not (1 such of 240)"),
    "shorter run": (lambda t: t.slice(0, len(t) - 40), "run 5 has record 200 not (40 such of 240)"),
    "row twice": (lambda t: pa.concat_tables([t, t.slice(300, 1)]), "run 1 has record 60 twice (1 such of 240)"),
    "row instead of another": (doubled, "run 1 has record 60 twice"),
    "no target": (lambda t: t.slice(RECORDS), "number the attacked one 0"),
    "one run": (lambda t: t.slice(0, RECORDS), "found 1 run(s)"),
    "two runs": (lambda t: t.slice(0, 2 * RECORDS), "at least 2 reference runs"),
    "unknown control": (lambda t: with_cell(t, "run", -3, row=0), "found run -3"),
    "several labels": (lambda t: t.append_column("label", t.column("run")), "record 0 has several labels"),
    "label with a fraction": (lambda t: t.append_column("label", t.column("value")), "column label is of type double"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN_ROWS)
def test_rows_that_cannot_be_audited_are_refused_with_the_reason(tmp_path: Path, case: str) -> None:
    break_it, message = BROKEN_ROWS[case]
    with pytest.raises(UserError) as refused:
        read_table(write(tmp_path, break_it(table(*small_world()))))
    assert message in str(refused.value)
    assert str(refused.value).startswith(f"{tmp_path / 'given.parquet'}: ")


def test_signals_that_disagree_about_members_or_runs_are_refused(tmp_path: Path) -> None:
    members, values = small_world()
    first = table(members, values, signal=["loss"] * values.size)
    other = members.copy()
    other[2, 7] = ~other[2, 7]
    with pytest.raises(UserError, match="margin says of some records otherwise who trained"):
        read_table(write(tmp_path, pa.concat_tables([first, table(other, values, signal=["margin"] * values.size)])))
    half = table(members, values, signal=["margin"] * values.size).slice(0, 3 * RECORDS)
    with pytest.raises(UserError, match="margin has the runs \\[0, 1, 2\\]"):
        read_table(write(tmp_path, pa.concat_tables([first, half])))
    alone, _ = read_table(write(tmp_path, pa.concat_tables([half.slice(0, RECORDS), first])))
    assert not alone.has_references("margin")
    assert alone.has_references("loss")


def broken_arrays() -> dict[str, tuple[dict[str, Any], str]]:
    members, values = small_world()
    sound = {"members": members, "signals": values}
    three = np.stack([values, values])
    none, everyone = members.copy(), members.copy()
    none[3], everyone[0] = False, True
    return {
        "no members": ({"signals": values}, "found the arrays signals; add members"),
        "unknown array": ({**sound, "lables": members[0]}, "rename or remove lables"),
        "other shape": ({**sound, "members": members[:, :-1]}, "members has shape [6, 239]; expected [6, 240]"),
        "a vector": ({**sound, "signals": values[0]}, "signals has shape [240]"),
        "no records": ({"members": members[:, :0], "signals": values[:, :0]}, "signals has shape [6, 0]"),
        "complex": ({**sound, "signals": values + 1j}, "signals is of type complex128"),
        "NaN": ({**sound, "signals": np.where(values > 9, np.nan, values)}, "model holds nan"),
        "fractional membership": ({**sound, "members": members + 0.5}, "members holds type float64"),
        "negative membership": ({**sound, "members": -members.astype(int)}, "members holds -1, 0"),
        "surfaces without names": ({**sound, "signals": three}, "expected 2 different names"),
        "equal surfaces": ({**sound, "signals": three, "surfaces": np.array(["a", "a"])}, "expected 2 different names"),
        "short null": ({**sound, "null": values[0, :9]}, "null has shape [1, 9]; expected [1, 240]"),
        "infinite positive": ({**sound, "positive": values[0] + np.inf}, "the positive control, row 0"),
        "short labels": ({**sound, "labels": np.zeros(3, dtype=int)}, "labels has shape [3]"),
        "fractional labels": ({**sound, "labels": values[0]}, "labels are of type float64"),
        "run without members": ({**sound, "members": none}, "run 3 has no members"),
        "target without non-members": ({**sound, "members": everyone}, "run 0 has only members"),
        "one run": ({"members": members[:1], "signals": values[:1]}, "found 1 run(s)"),
        "objects": ({**sound, "labels": np.array([None] * RECORDS)}, "plain arrays"),
    }  # fmt: skip


@pytest.mark.parametrize("case", broken_arrays())
def test_arrays_that_cannot_be_audited_are_refused_with_the_reason(tmp_path: Path, case: str) -> None:
    arrays, message = broken_arrays()[case]
    with pytest.raises(UserError) as refused:
        read_table(save(tmp_path, **arrays))
    assert message in str(refused.value)


class Trap:
    """Create a file when unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


def test_a_pickle_is_refused_and_never_loaded(tmp_path: Path) -> None:
    members, values = small_world()
    sprung = tmp_path / "sprung"
    (tmp_path / "whole.npz").write_bytes(pickle.dumps(Trap(sprung)))
    inside = save(tmp_path, members=members, signals=values, labels=np.array([Trap(sprung)] * RECORDS, dtype=object))
    for file in (tmp_path / "whole.npz", inside):
        with pytest.raises(UserError, match="plain arrays"):
            read_table(file)
    assert not sprung.exists()


def test_files_that_are_not_what_they_are_called_are_refused(tmp_path: Path) -> None:
    members, values = small_world()
    whole = save(tmp_path, members=members, signals=values).read_bytes()
    np.save(tmp_path / "array.npy", values)
    contents = {
        "cut.npz": whole[: len(whole) // 2],
        "array.npz": (tmp_path / "array.npy").read_bytes(),
        "empty.npz": b"",
        "empty.parquet": b"",
        "text.parquet": b"run,record,member,value\n0,0,1,0.5\n",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match="cannot be read as"):
            read_table(tmp_path / name)
    with pytest.raises(UserError, match="no file at"):
        read_table(tmp_path / "nowhere.npz")
    with pytest.raises(UserError, match=r"expected a file ending in \.parquet or \.npz"):
        read_table(tmp_path / "array.npy")


def test_answers_that_are_all_equal_are_refused(tmp_path: Path) -> None:
    members, values = small_world()
    with pytest.raises(UserError, match=r"every value of model is 0\.0; expected answers that differ"):
        read_table(save(tmp_path, members=members, signals=np.zeros_like(values)))
