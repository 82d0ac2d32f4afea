"""Write results.md, results.html, results.parquet and the figures of a reproduced experiment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tckr.engine.folders import Folder, text_fill
from tckr.html.pages import Cells, Section, page_files
from tckr.metrics.estimate import Estimate
from tckr.reproduction.benchmarks import Benchmark
from tckr.reproduction.comparison import MEASURES, Compared, ComparedCell, ComparedRow, comparison_rows
from tckr.sweep.figures import Curve, bar_chart, cardinality_chart, tradeoff_chart
from tckr.sweep.frontier import RULE, Frontier
from tckr.sweep.page import INTERVALS, frontier_cells, gap_sentence, percent, plain
from tckr.sweep.table import write_table

NAMES = {"cas": "CAS, %", "auc": "attack AUC", "aop": "AOP"}
FRACTION_NAMES = {0.02: "1/50", 0.05: "1/20", 0.1: "1/10", 1.0: "1"}
ORIGIN = (
    "Published results: arXiv 2504.04582. They were measured differently: their epoch was chosen on the test set, and their "
    "AUC is the best of 12 attacks with shadow models that were not trained through the pipeline (ours: docs/audit.md)."
)


@dataclass(frozen=True, kw_only=True)
class Reproduced:
    """Content of the pages of a benchmark."""

    benchmark: Benchmark
    frontier: Frontier | None
    results: Sequence[ComparedRow]
    ablation: Sequence[ComparedCell]
    left_out: str

    @property
    def has_published(self) -> bool:
        """Return whether there are published results to compare with."""
        return any(compared.published is not None for row in self.results for compared in row.measures.values())


def write_results(folder: Folder, found: Reproduced) -> None:
    """Write the table, the pages and the figures.

    Raises:
        UserError: the folder contains something else.
    """
    rows = comparison_rows(found.results, found.ablation)
    texts = page_files("results", found.benchmark.name, _sections(found))
    written = {name: text_fill(text) for name, text in texts.items()}
    folder.put({"results.parquet": lambda path: write_table(path, rows), **written})


def result_cells(found: Reproduced) -> Cells:
    """Return our CAS, AUC and AOP, beside the published ones if there are any."""
    names = [NAMES[name] for name in MEASURES]
    heading = [part for name in names for part in ([name, "published", "difference"] if found.has_published else [name])]
    rows = [[_row_name(row), *_cells(row.measures, found.has_published)] for row in found.results]
    return [["", *heading], *rows]


def ablation_cells(found: Reproduced) -> Cells:
    """Return the ablation: a row per prompt form and kind of labels, a column per share of the members."""
    fractions = sorted({cell.fraction for cell in found.ablation})
    cells = {(cell.prompt, cell.labels, cell.fraction): cell.cas for cell in found.ablation}
    kinds = sorted({(cell.prompt, cell.labels) for cell in found.ablation})
    body = [[prompt, labels, *(_ablated(cells.get((prompt, labels, one))) for one in fractions)] for prompt, labels in kinds]
    return [["prompt", "labels", *(FRACTION_NAMES.get(one, f"{one:g}") for one in fractions)], *body]


def figures(found: Reproduced) -> dict[str, Markup]:
    """Return the charts of the paper for our runs, with the published curves dashed."""
    charts = {}
    for name in MEASURES:
        curves = _curves(found, name)
        if curves:
            charts[f"{name}.svg"] = cardinality_chart(f"{NAMES[name]} by cardinality", curves, NAMES[name].split(",")[0])
    tradeoff = tradeoff_chart(found.frontier) if found.frontier else None
    if tradeoff is not None:
        charts["frontier.svg"] = tradeoff
    bars = [(_bar_name(cell), cell.cas.ours, _look(cell)) for cell in found.ablation if cell.cas.ours is not None]
    if bars:
        charts["ablation.svg"] = bar_chart("ablation: CAS", bars, "CAS; blue: soft labels, violet: hard")
    return charts


def sentences(found: Reproduced) -> list[str]:
    """Return the findings as sentences."""
    said = [found.frontier.sentence, gap_sentence(found.frontier)] if found.frontier else []
    return [*said, *(text for text in (found.benchmark.note, found.left_out) if text)]


def _curves(found: Reproduced, name: str) -> list[Curve]:
    curves = []
    students = [row for row in found.results if row.cardinality is not None]
    sizes = [row.cardinality for row in students if row.cardinality is not None]
    ours = [(row.cardinality, row.measures[name].ours) for row in students]
    published = [(row.cardinality, row.measures[name].published) for row in students]
    teacher = found.results[0].measures[name]
    measured = [(size, number) for size, number in ours if number is not None and size is not None]
    if measured:
        curves.append(Curve(name="Student", points=measured))
    if teacher.ours is not None and sizes:
        curves.append(Curve(name="Teacher", points=[(size, teacher.ours) for size in sizes], class_="teacher"))
    known = [(size, _exact(number)) for size, number in published if number is not None and size is not None]
    if known:
        curves.append(Curve(name="Student, published", points=known, class_="other", line="diagonal"))
    if teacher.published is not None and known:
        line = [(size, _exact(teacher.published)) for size, _ in known]
        curves.append(Curve(name="Teacher, published", points=line, class_="teacher", line="diagonal"))
    return curves


def _exact(value: float) -> Estimate:
    return Estimate(value, value, value, 1, "as published, without an interval")


def _row_name(row: ComparedRow) -> str:
    return "Teacher" if row.cardinality is None else f"Student {row.cardinality:g}x"


def _cells(measures: dict[str, Compared], has_published: bool) -> list[str]:
    cells = []
    for name in MEASURES:
        compared, scale = measures[name], 100 if name == "cas" else 1
        digits = 1 if name == "cas" else 3
        cells.append(
            (percent(compared.ours) if name == "cas" else plain(compared.ours)) + _of_runs(compared, measures["cas"])
        )
        if has_published:
            cells.append("-" if compared.published is None else f"{scale * compared.published:.{digits}f}")
            cells.append("-" if compared.difference is None else f"{scale * compared.difference:+.{digits}f}")
    return cells


def _of_runs(compared: Compared, accuracy: Compared) -> str:
    """Return the number of runs behind a number, if other numbers of the row have more."""
    if compared.ours is None or accuracy.ours is None or compared.ours.n == accuracy.ours.n:
        return ""
    return f" ({compared.ours.n} of {accuracy.ours.n} runs)"


def _ablated(compared: Compared | None) -> str:
    if compared is None:
        return "-"
    published = "" if compared.published is None else f" (published {100 * compared.published:.1f})"
    return percent(compared.ours) + published


def _bar_name(cell: ComparedCell) -> str:
    return f"{cell.prompt}, {cell.labels}, {FRACTION_NAMES.get(cell.fraction, f'{cell.fraction:g}')}"


def _look(cell: ComparedCell) -> str:
    return "" if cell.labels == "soft" else "memory"  # the report's second colour of bars


def _notes(found: Reproduced) -> list[str]:
    knee = [f"Knee: {RULE}; test accuracy is not used for the choice."] if found.frontier else []
    colours = "Figures: Student blue, Teacher orange" + ("; dashed: published." if found.has_published else ".")
    intervals = f"{INTERVALS} They are not corrected for multiple comparisons."
    return [colours, intervals, *knee, *([ORIGIN] if found.has_published else [])]


def _sections(found: Reproduced) -> list[Section]:
    sections = [Section(sentences=sentences(found), table=result_cells(found))]
    if found.frontier:
        sections.append(Section(title="Frontier", table=frontier_cells(found.frontier)))
    if found.ablation:
        sections.append(Section(title="Ablation: CAS, %", table=ablation_cells(found)))
    return [*sections, Section(title="Figures", charts=figures(found), notes=_notes(found))]
