"""One rendered report per kind of run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tckr.stages.report.config import ReportConfig
from tckr.stages.report.stage import run
from tests.stages.report.sample import Sample
from tests.tiny_artifacts import make_context


class Elements(HTMLParser):
    """Every element with its attributes, and the text of `data` elements."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.texts.append((tuple(self._open), data))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@dataclass(frozen=True)
class Report:
    """What the stage wrote, and what it read."""

    html: str
    data: dict[str, Any]
    inputs: dict[str, Path]

    @property
    def elements(self) -> Elements:
        parser = Elements()
        parser.feed(self.html)
        return parser


def make_report(folder: Path, sample: Sample, **settings: Any) -> Report:
    inputs = sample.write(folder / "inputs")
    context = make_context(folder, inputs)
    run(ReportConfig(**settings), context)
    html = (context.out / "report.html").read_text(encoding="utf-8")
    return Report(html, json.loads((context.out / "report.json").read_text(encoding="utf-8")), inputs)


LONG = {
    "class_names": ["W" * 100, "<b>" + "x" * 97, "2"],
    "source": "/home/ann/" + "p" * 100,
    "fidelity_features": "f" * 100,
}
SMALL = {"class_names": ["0", "1", "2"], "per_class": 6, "image_size": 16, "adapter_steps": 50}


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return make_report(tmp_path_factory.mktemp("report"), Sample(**SMALL))


@pytest.fixture(scope="session")
def clean_report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Return a report on images of which an audit at depth full found no measurable leakage."""
    return make_report(tmp_path_factory.mktemp("clean"), Sample(**SMALL, depth="full"))


@pytest.fixture(scope="session")
def private_report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return make_report(tmp_path_factory.mktemp("private"), Sample(**SMALL), include_private=True)


@pytest.fixture(scope="session")
def long_report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Return a report on classes, a source and a model whose names are words of 100 letters."""
    return make_report(tmp_path_factory.mktemp("long"), Sample(**SMALL | LONG), include_private=True)


@pytest.fixture(scope="session")
def invalid_report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return make_report(tmp_path_factory.mktemp("invalid"), Sample(**SMALL, valid=False))


@pytest.fixture(scope="session")
def bare_report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    small = SMALL | {"adapter_steps": 0}
    return make_report(
        tmp_path_factory.mktemp("bare"), Sample(**small, measured=False, canaries=False), gallery_images_per_class=0
    )
