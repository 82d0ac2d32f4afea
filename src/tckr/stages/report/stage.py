"""Read the artifacts of a run, write report.html and report.json."""

from __future__ import annotations

from tckr.disk import write_whole
from tckr.engine.step import StepContext
from tckr.stages.report.classes import shown_mistakes
from tckr.stages.report.collect import collect
from tckr.stages.report.config import ReportConfig
from tckr.stages.report.flagged import shown_likenesses
from tckr.stages.report.gallery import shown_galleries
from tckr.stages.report.page import render


def run(config: ReportConfig, context: StepContext) -> None:
    """Write the report twice: for people and, with the same numbers, for programs."""
    contents = collect(context.inputs, config)
    likenesses = shown_likenesses(context.inputs, contents, config)
    mistakes = shown_mistakes(context.inputs, contents.data.class_names, config)
    page = render(contents, shown_galleries(context.inputs, contents, config), likenesses, mistakes)
    data = contents.model_dump_json(indent=1) + "\n"
    write_whole(context.out / "report.html", lambda partial: partial.write_text(page, encoding="utf-8"))
    write_whole(context.out / "report.json", lambda partial: partial.write_text(data, encoding="utf-8"))
    context.log("reported", verdict=contents.verdict.state, bytes=len(page))
