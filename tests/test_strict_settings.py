"""A setting takes what a person means by what is written, within bounds, once; all else is refused with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from tckr.config import Settings, load_settings, settings_text
from tckr.errors import UserError
from tckr.plain_yaml import read_scalar, read_yaml, write_yaml
from tckr.sweep.grid import parse_over
from tests.cli.test_commands import call

WHOLE = "expected an integer in decimal digits without leading zeros"
DECIMAL = "expected a decimal number"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("adapt.steps=0100", WHOLE),  # 64 by YAML of old
        ("adapt.steps=1:30", WHOLE),  # 90
        ("adapt.steps=1_000", WHOLE),
        ("adapt.steps=0x10", WHOLE),
        ("adapt.steps=3.0", WHOLE),
        ("adapt.steps=1e3", WHOLE),
        ("adapt.steps='3'", WHOLE),
        ("adapt.steps=\u0663", WHOLE),
        ("adapt.rank=yes", WHOLE),  # 1
        ("adapt.rank=true", WHOLE),
        ("seed=off", WHOLE),
        ("generate.redraw=[1, true]", WHOLE),
        ("generate.cardinality=1:30", DECIMAL),
        ("generate.cardinality=true", DECIMAL),
        ("generate.cardinality=.inf", DECIMAL),
        ("generate.cardinality=nan", DECIMAL),
        ("generate.guidance_interval=[0, yes]", DECIMAL),
        ("adapt.horizontal_flip=yes", "expected true or false"),
        ("adapt.horizontal_flip=1", "expected true or false"),
        ("adapt.horizontal_flip=on", "expected true or false"),
        ("report.title=2024", "expected a text; put a number"),
        ("execution.output=true", "expected a path; put a number"),
    ],
)
def test_a_value_of_another_type_is_refused_and_none_is_converted(given, why):
    with pytest.raises(UserError, match=rf"^setting {given.partition('=')[0]}.*: found .*; {why}"):
        load_settings(overrides=[given])


@pytest.mark.parametrize(
    "given",
    [
        "execution.gpus=100000000000000000000000",
        "execution.gpus=2000",
        "execution.workers=1000000",
        "generate.cardinality=1e308",
        "generate.cardinality=1e999",
        "generate.cardinality=20000",
        "seed=9223372036854775808",
        "seed=-1",
        "adapt.epochs=1e300",
        "adapt.learning_rate=1e30",
        "label.temperature=1e-300",
        "teach.batch_size=10000000",
        "generate.redraw=[10000000000000000000]",
        "report.title=" + "x" * 201,
        "caption.prompt=" + "x" * 10_001,
        "caption.model=" + "x" * 5000,
        "execution.output=" + "x" * 5000,
        "adapt.descriptions={a: " + "x" * 10_001 + "}",
        "prepare.class_names={" + "x" * 301 + ": a}",
    ],
    ids=lambda text: text[:40],
)
def test_a_value_beyond_its_bound_is_refused(given):
    with pytest.raises(UserError, match=rf"^setting {given.partition('=')[0]}.*: found "):
        load_settings(overrides=[given])


def test_a_setting_that_may_have_several_types_is_named_once_without_pydantics_names_of_them():
    with pytest.raises(UserError) as told:
        load_settings(overrides=["prepare.source=digits", "generate.steps=0"])
    assert str(told.value) == (
        "setting generate.steps: found 0; input should be greater than or equal to 1, or input should be 'auto'"
    )


@pytest.mark.parametrize("kind", [list, tuple])
def test_the_wrong_one_of_several_values_is_named_by_its_index(kind):
    with pytest.raises(UserError, match=r"^setting generate\.guidance_interval\.1: found 'x'; expected a decimal"):
        load_settings(options={"generate.guidance_interval": kind((0.1, "x"))})


@pytest.mark.parametrize("name", ["int", "str", "constrained-int", "dict[x"])
@pytest.mark.parametrize("setting", ["adapt.descriptions", "generate.per_class"])
def test_a_class_that_is_called_like_a_type_is_named(setting, name):
    with pytest.raises(UserError) as told:
        load_settings(options={setting: {"fine": 3 if setting == "generate.per_class" else "x", name: [0]}})
    assert f"setting {setting}.{name}: found [0]; expected " in str(told.value)


def test_every_number_has_two_bounds_and_every_text_a_length_or_choices():
    """By introspection, so that a new setting cannot be forgotten."""
    schema = Settings.model_json_schema()
    unbounded = [name for name, part in _leaves(schema, schema, "") if not _is_bounded(part)]
    assert unbounded == []
    assert sum(1 for _ in _leaves(schema, schema, "")) > 120


def _leaves(part: dict[str, Any], schema: dict[str, Any], name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every number, text, list and mapping of a schema with the name that leads to it."""
    if "$ref" in part:
        part = schema["$defs"][part["$ref"].rsplit("/", 1)[1]]
    inside = {
        **{f"{name}.{key}": value for key, value in part.get("properties", {}).items()},
        **{f"{name}|{number}": value for number, value in enumerate(part.get("anyOf", []) + part.get("prefixItems", []))},
        **({f"{name}[]": part["items"]} if "items" in part else {}),
        **({f"{name}{{}}": part["additionalProperties"]} if part.get("additionalProperties") else {}),
        **({f"{name}{{key}}": {"type": "string"} | part["propertyNames"]} if "propertyNames" in part else {}),
    }
    if "properties" not in part and "anyOf" not in part:
        yield name, part
    for key, value in inside.items():
        yield from _leaves(value, schema, key)


def _is_bounded(part: dict[str, Any]) -> bool:
    if "enum" in part or "const" in part or part["type"] in ("boolean", "null"):
        return True
    needed = {
        "integer": ({"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}),
        "number": ({"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}),
        "string": ({"maxLength", "pattern"},),
        "array": ({"maxItems"},),
        "object": ({"maxProperties"}, {"propertyNames"}),
    }
    return all(names & part.keys() for names in needed[part["type"]])


def test_every_section_is_strict():
    def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
        yield model
        for field in model.model_fields.values():
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                yield from models(field.annotation)

    found = list(models(Settings))
    assert len(found) == 15
    for model in found:
        config = model.model_config
        assert (config["strict"], config["frozen"], config["extra"], config["allow_inf_nan"]) == (
            True,
            True,
            "forbid",
            False,
        )


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (["seed=1", "seed=2"], "seed"),
        (["seed=1", "seed=1"], "seed"),
        (["adapt.rank=1", "adapt={rank: 2}"], "adapt.rank"),
        (["adapt={rank: 2}", "seed=1", "adapt={steps: 3, rank: 2}"], "adapt.rank"),
        (["teach.augment={flip: true}", "teach={augment: {flip: false}}"], "teach.augment.flip"),
        (["adapt.descriptions={a: x}", "adapt.descriptions.a=y"], "adapt.descriptions.a"),
        (["adapt={}", "adapt.rank=1"], "adapt"),
    ],
)
def test_a_setting_given_twice_is_refused(overrides, name):
    with pytest.raises(UserError, match=rf"^setting {name} is given twice; remove one"):
        load_settings(overrides=overrides)


def test_settings_of_one_section_may_be_given_apart():
    settings = load_settings(
        overrides=["adapt={rank: 2}", "adapt.steps=3", "adapt.descriptions.a=x", "adapt.descriptions.b=y"]
    )
    assert (settings.adapt.rank, settings.adapt.steps, settings.adapt.descriptions) == (2, 3, {"a": "x", "b": "y"})


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["run", "--data", "digits", "prepare.source=other"], "--data and prepare.source=..."),
        (["run", "--data", "digits", "prepare={source: other}"], "--data and prepare.source=..."),
        (["run", "--data", "digits", "--name", "a", "execution.name=b"], "--name and execution.name=..."),
        (["run", "--data", "digits", "--output", "a", "execution={output: b}"], "--output and execution.output=..."),
        (["reproduce", "digits", "--data", "digits", "prepare.source=other"], "--data and prepare.source=..."),
    ],
)
def test_a_setting_given_as_an_option_too_is_refused(monkeypatch, capsys, tmp_path, arguments, found):
    monkeypatch.chdir(tmp_path)
    status, _, err = call(monkeypatch, capsys, *arguments, "--dry-run")
    assert (status, err) == (2, f"error: found {found}; remove one of them\n")


def test_the_source_may_be_given_with_its_section(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, capsys, "run", "prepare={source: digits}", "--dry-run")[0] == 0


@pytest.mark.parametrize("name", ["\U0001f600", "1e3", "yes", "a: b # c", "2024-01-01", "'", "[x", "*x", "tab\tx"])
def test_an_option_is_taken_as_it_is(monkeypatch, capsys, tmp_path, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    status, _, err = call(monkeypatch, capsys, "run", "--data", name, "--output", str(Path("runs") / name), "--dry-run")
    assert (status, err) == (0, "")


WRITTEN = {
    "": None, "~": None, "null": None, "true": True, "False": False, "0": 0, "-3": -3, "+3": 3, "0.5": 0.5, ".5": 0.5,
    "5.": 5.0, "1e3": 1000.0, "1.0e-05": 1e-5, "-1E5": -1e5, "1e999": float("inf"), "0100": "0100", "0o17": "0o17",
    "0x10": "0x10", "1:30": "1:30", "1_000": "1_000", "yes": "yes", "no": "no", "on": "on", "off": "off", "y": "y",
    ".inf": ".inf", ".nan": ".nan", "2024-01-01": "2024-01-01", "=": "=", "<<": "<<", "01.5": "01.5", "1e": "1e",
    "-": "-", "\u0663": "\u0663", "10^23": "10^23",
}  # fmt: skip


@pytest.mark.parametrize("text", WRITTEN)
def test_a_value_without_quotes_is_what_the_rules_say(text):
    found = read_scalar(text)
    assert (type(found), found) == (type(WRITTEN[text]), WRITTEN[text])
    assert read_yaml(f"[x, {text}]")[1:] == ([WRITTEN[text]] if text else [])


@pytest.mark.parametrize(
    "text", [*WRITTEN, "a: b", "a #b", " a ", "x\ny", "\x85", "\u2028", "\x1b", "\U0001f600", "*x", "!!int 3"]
)
def test_a_text_is_read_back_as_the_text_that_was_written(text):
    tree = {"value": text, text: 1, "list": [text, 1e-5, 1e22, 3, True, None]}
    assert read_yaml(write_yaml(tree)) == tree


def test_saved_settings_keep_texts_that_look_like_something_else(tmp_path):
    settings = load_settings(overrides=["report.title='1e3'", 'prepare.class_names={0: zero, no: "off", 1e3: "0100"}'])
    (tmp_path / "config.yaml").write_text(settings_text(settings))
    assert load_settings(tmp_path / "config.yaml") == settings
    assert settings.prepare.class_names == {"0": "zero", "no": "off", "1e3": "0100"}


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("adapt.prompt_form=n: c", "n: c"),
        ("caption.prompt=What is it? #1", "What is it? #1"),
        ("caption.prompt=*x: &y", "*x: &y"),
        ("caption.prompt='1'", "1"),
        ("caption.prompt= a ", "a"),
        ("adapt.lora=", None),
        ("adapt.min_snr_gamma=null", None),
        ("adapt.epochs= ", None),
        ("execution.gpus=2", 2),
        ("generate.cardinality=5", 5.0),
        ("generate.redraw=[3,1,2]", [1, 2, 3]),
        ("generate.guidance_interval=[0.2, 1]", (0.2, 1.0)),
        ("execution.output=runs/x", Path("runs/x")),
    ],
)
def test_what_people_write_behind_an_equals_sign_is_taken(given, value):
    section, name = given.partition("=")[0].split(".")
    found = getattr(getattr(load_settings(overrides=[given]), section), name)
    assert (type(found), found) == (type(value), value)


def test_values_of_a_sweep_follow_the_same_rules():
    grid = parse_over(
        ["generate.cardinality=0.1,1,5", "adapt.steps=0100,1:30", "report.title=yes,a # b", "adapt.prompt_form='n: c',n"]
    )
    assert grid == {
        "generate.cardinality": [0.1, 1, 5],
        "adapt.steps": ["0100", "1:30"],
        "report.title": ["yes", "a # b"],
        "adapt.prompt_form": ["n: c", "n"],
    }
