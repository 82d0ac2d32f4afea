"""README.md of the Student and of the adapter: model cards in the hub's format."""

from __future__ import annotations

from typing import Any

from tckr.releasing.cards.loading import adapter_code, student_code
from tckr.releasing.cards.text import card, filled
from tckr.releasing.facts import BaseModel, Facts

TEST_SET = {"name": "test split of the private image set", "type": "private"}


def student_card(facts: Facts, summary: dict[str, Any]) -> str:
    """Return the card of the Student."""
    header = {
        "license": facts.request.licence,
        "library_name": "transformers",
        "pipeline_tag": "image-classification",
        "tags": ["synthetic-data", "tckr"],
        **_base(facts.student),
        **_model_index(facts),
    }
    return card(header, _body("student", facts, summary, student_code(facts)))


def adapter_card(facts: Facts, summary: dict[str, Any]) -> str:
    """Return the card of the adapter."""
    header = {
        "license": facts.request.licence,
        "library_name": "diffusers",
        "pipeline_tag": "text-to-image",
        "tags": ["lora", "tckr"] if facts.method == "lora" else ["tckr"],
        **_base(facts.generator),
    }
    return card(header, _body("adapter", facts, summary, adapter_code(facts)))


def _body(template: str, facts: Facts, summary: dict[str, Any], code: str) -> str:
    gate, privacy = (filled(part, summary=summary) for part in ("gate", "privacy"))
    return filled(template, facts=facts, code=code, gate=gate, privacy=privacy)


def _base(model: BaseModel | None) -> dict[str, Any]:
    return {"base_model": model.name} if model and model.on_hub else {}


def _model_index(facts: Facts) -> dict[str, Any]:
    """Return the Student's accuracy as an evaluation result in the hub's format."""
    if facts.accuracy is None:
        return {}
    metric = {"type": "accuracy", "name": "accuracy", "value": facts.accuracy.value}
    task = {"type": "image-classification", "name": "image classification"}
    return {"model-index": [{"name": "Student", "results": [{"task": task, "dataset": TEST_SET, "metrics": [metric]}]}]}
