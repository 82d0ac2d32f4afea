"""Only settings on the list leave, and none of them is a free text; a model that may be private is not named."""

from __future__ import annotations

import typing

import pytest
from pydantic import BaseModel

from tckr.config import RunConfig, load_settings
from tckr.machine import MODELS
from tckr.pipeline import STAGES
from tckr.sharing.allowed_models import PUBLIC_MODELS, UNNAMED, shown_model
from tckr.sharing.allowed_settings import MODEL_SETTINGS, SETTINGS, WITHHELD, allowed_settings

MARKER = "zoe_winter"


def holds_no_free_text(annotation: object) -> bool:
    """Return whether values of a type are numbers, switches or words out of a fixed few."""
    if typing.get_origin(annotation) is typing.Literal or annotation in (int, float, bool, type(None)):
        return True
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return all(holds_no_free_text(field.annotation) for field in annotation.model_fields.values())
    if typing.get_origin(annotation) is typing.Annotated:
        return holds_no_free_text(typing.get_args(annotation)[0])
    inner = typing.get_args(annotation)
    return bool(inner) and typing.get_origin(annotation) is not dict and all(holds_no_free_text(each) for each in inner)


@pytest.mark.parametrize("stage", SETTINGS)
def test_every_setting_on_the_list_is_a_number_a_switch_a_fixed_word_or_a_model(stage):
    fields = RunConfig.model_fields[stage].annotation.model_fields
    assert SETTINGS[stage] <= set(fields)
    for name in SETTINGS[stage] - MODEL_SETTINGS:
        assert holds_no_free_text(fields[name].annotation), name
    assert not SETTINGS[stage] & {"source", "prompt", "file", "lora", "redraw", "revision", "title", "class_names"}


@pytest.mark.parametrize("stage", STAGES)
def test_of_every_setting_of_every_stage_it_was_decided_whether_it_may_leave(stage):
    allowed, withheld = SETTINGS[stage], WITHHELD[stage]
    assert not allowed & withheld
    assert allowed | withheld == set(RunConfig.model_fields[stage].annotation.model_fields)


def test_a_setting_that_is_not_on_the_list_does_not_leave():
    assert allowed_settings("caption", {"model": "embedded:captioner", "prompt": MARKER, "invented": 1}) == {
        "model": "embedded:captioner"
    }


@pytest.mark.parametrize(
    "name", [f"/home/{MARKER}/net", f"{MARKER}/net", f"models/{MARKER}", f"{MARKER}", f"microsoft/{MARKER}"]
)
def test_a_model_that_may_be_private_is_not_named(name):
    assert shown_model(name) == UNNAMED
    assert allowed_settings("teach", {"model": name, "other_models": [name, "microsoft/resnet-18@main"]}) == {
        "model": UNNAMED,
        "other_models": [UNNAMED, "microsoft/resnet-18"],
    }


def test_models_that_the_product_itself_names_are_public():
    named = {model.name for model in MODELS}
    for preset in ("paper", "embedded"):
        settings = load_settings(preset=preset)
        named |= {settings.caption.model, settings.adapt.model, settings.teach.model, settings.distill.model}
    assert named <= PUBLIC_MODELS
