"""What a run computes (`RunConfig`) and where (`ExecutionConfig`), read from YAML, presets and `key=value` overrides.

Settings are strict: an unknown name is an error that suggests the nearest known one.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib import resources
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from tckr.engine.execution import ExecutionConfig
from tckr.errors import MOST_CHARACTERS, UserError, shown, shown_name
from tckr.models.model_names import from_any_folder
from tckr.overrides import merge, names_in, names_swept, nested, parse_override, refuse_twice
from tckr.plain_yaml import MOST_BYTES, NotPlainError, read_yaml, write_yaml
from tckr.privacy.config import BASE, PrivacyConfig, without_idle
from tckr.privacy.refusals import refuse_spending
from tckr.stages.adapt.config import AdaptConfig, PrivateAdaptConfig, refuse_sharding
from tckr.stages.audit.config import AuditConfig
from tckr.stages.caption.config import CaptionConfig, UncaptionedConfig
from tckr.stages.distill.config import DistillConfig
from tckr.stages.generate.config import GenerateConfig
from tckr.stages.label.config import LabelConfig
from tckr.stages.prepare.config import PrepareConfig
from tckr.stages.report.config import ReportConfig
from tckr.stages.teach.config import TeachConfig
from tckr.strict import STRICT

PRESETS = {
    "embedded": "the defaults: tiny models that ship with the package, 32 x 32 px, for two CPU cores",
    "demo": "the defaults on scikit-learn's handwritten digits; the report shows the images, which are public",
    "small_photos": "the defaults with a fast recipe for small photographs: flipped and cropped, not rotated",
    "dp": "a formal guarantee of epsilon 10 (privacy.epsilon) for images, labels and Student",
    "paper": "the published settings: BLIP-2 and Stable Diffusion 2 at 224 px; needs a GPU and a model hub",
}

NO_OPTIONS: Mapping[str, str] = MappingProxyType({})

SWEEP = "sweep"
"""Section of a file with the grids of a sweep (`tckr.sweep.grid`)."""


class RunConfig(BaseModel):
    """All settings that determine the results, one section per stage."""

    model_config = STRICT

    seed: int = Field(
        0,
        ge=0,
        lt=2**63,
        description="Root seed. Splits, membership, noise and initial weights derive from it and, unless the set is public, "
        "from the secret of the store.",
    )
    privacy: PrivacyConfig = Field(default_factory=PrivacyConfig)
    prepare: PrepareConfig = Field(default_factory=PrepareConfig)
    caption: CaptionConfig = Field(default_factory=CaptionConfig)
    adapt: AdaptConfig = Field(default_factory=AdaptConfig)
    generate: GenerateConfig = Field(default_factory=GenerateConfig)
    teach: TeachConfig = Field(default_factory=TeachConfig)
    label: LabelConfig = Field(default_factory=LabelConfig)
    distill: DistillConfig = Field(default_factory=DistillConfig)
    audit: AuditConfig = Field(default_factory=AuditConfig)
    report: ReportConfig = Field(default_factory=ReportConfig)

    @model_validator(mode="after")
    def _copies_have_a_hold_out(self) -> Self:
        if self.generate.redraw_copies and not self.prepare.audit_holdout:
            raise ValueError(
                f"generate.redraw_copies={self.generate.redraw_copies} compares images with hold-out records, but "
                "prepare.audit_holdout=0 leaves none; set generate.redraw_copies=0, or set "
                "prepare.audit_holdout, e.g. to 0.5"
            )
        return self

    @model_validator(mode="after")
    def _keeps_within_the_budget(self) -> Self:
        if self.privacy.is_on:
            refuse_spending(self)
        return self

    def captioning(self) -> CaptionConfig | UncaptionedConfig:
        """Return the settings of the captions. Under a privacy budget no prompt contains one, so none is written."""
        return UncaptionedConfig() if self.privacy.is_on else self.caption

    def adapting(self) -> AdaptConfig:
        """Return the settings of the adapter, including the privacy budget if there is one."""
        if not self.privacy.is_on:
            return self.adapt
        return PrivateAdaptConfig(**dict(self.adapt), privacy=self.privacy)

    def reference(self) -> RunConfig:
        """Return the settings of the audit's reference runs; images are regenerated only for the target."""
        return self.model_copy(update={"generate": self.generate.reference()})

    def null_control(self) -> RunConfig:
        """Return the settings of the audit's null control."""
        changed = {name: getattr(self, name).null_control() for name in ("adapt", "generate", "teach", "distill")}
        return self.model_copy(update=changed)

    def memorizing(self) -> RunConfig:
        """Return the settings of the audit's positive control."""
        changed: dict[str, Any] = {name: getattr(self, name).memorizing() for name in ("adapt", "teach", "label", "distill")}
        changed["privacy"] = PrivacyConfig()  # a memorizing control cannot keep a formal guarantee
        return self.reference().model_copy(update=changed)


class Settings(RunConfig):
    """A complete configuration: what is computed, and where."""

    execution: ExecutionConfig = Field(default_factory=ExecutionConfig)

    @model_validator(mode="after")
    def _can_be_sharded(self) -> Self:
        if self.execution.sharded:
            refuse_sharding(self.adapt.memorizing() if self.adapt.lora else self.adapting(), self.execution.gpus)
        return self

    def run_config(self) -> RunConfig:
        """Return what is computed, without where it is computed."""
        return RunConfig(**{name: getattr(self, name) for name in RunConfig.model_fields})


def load_settings(
    file: Path | None = None,
    preset: str | None = None,
    overrides: Sequence[str] = (),
    *,
    options: Mapping[str, Any] = NO_OPTIONS,
    sweep: bool = False,
) -> Settings:
    """Return the settings of a preset, changed by a YAML file (which may name the `preset`), then by `key=value`s.

    Without a preset, settings start from `embedded`.

    Args:
        file: YAML file; `tckr.plain_yaml` defines values without quotes.
        preset: name of the settings to start from.
        overrides: texts `section.setting=value`.
        options: further settings or sections by name; their values are not parsed.
        sweep: True if the file may have a section `sweep`, which `load_sweep` reads. Whether all settings of `privacy` have
            an effect is then checked for each point of the sweep (`changed`).

    Raises:
        UserError: an unreadable file, an unknown setting or preset, a value outside its range, or a setting given twice.
    """
    values = _read_yaml(file) if file else {}
    if file and not values:
        raise UserError(
            f"{shown(file)} is empty; write the settings that differ from the defaults, at least `prepare: {{source: DIR}}`"
        )
    if SWEEP in values and not sweep:
        path = shown(file)
        raise UserError(f"{path} has a section `{SWEEP}`; run it with `tckr sweep {path}`, or remove the section")
    swept = names_swept(values.pop(SWEEP, None))
    own = str(values.pop("preset", preset or "embedded"))
    if preset not in (None, own):
        raise UserError(
            f"found --preset {shown_name(preset)}, but {shown(file)} starts from preset {shown_name(own)}; "
            "remove one of them"
        )
    tree = _read_preset(own)
    if file:
        tree = merge(tree, {"execution": {"name": run_name(file.stem)}})
    given = [*(nested(name, value) for name, value in options.items()), *map(parse_override, overrides)]
    refuse_twice(given)
    chosen = _together(given)
    values = _without_saved_idle(values, swept | names_in(chosen))
    return _settings(_merged(_merged(tree, values), chosen), context=BASE if sweep else None)


def changed(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """Return `settings` with new values; `changes` maps `section.setting` names to values.

    A change that switches off the guarantee or the votes drops the others, which then have no effect.

    Raises:
        UserError: an unknown setting, or a value outside its range.
    """
    given = [nested(name, value) for name, value in changes.items()]
    change = _together(given)
    if privacy := _section(change, "privacy"):
        change["privacy"] = without_idle(privacy, privacy)
    return _settings(_merged(settings.model_dump(exclude_unset=True), change))


def _merged(tree: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return `tree` updated by `change`.

    A new model name without a revision removes the old model's revision. `privacy.epsilon=null` removes the other settings
    of the guarantee, so that one setting is enough to switch it off.
    """
    merged = merge(tree, change)
    if given := _section(change, "privacy"):
        merged["privacy"] = merge(without_idle(given, _section(tree, "privacy")), given)
    for name, given in change.items():
        section = tree.get(name)
        if not isinstance(given, Mapping) or not isinstance(section, Mapping) or "revision" not in section:
            continue
        if given.get("model", section.get("model")) != section.get("model") and "revision" not in given:
            merged[name] = {**merged[name], "revision": None}
    return merged


def _together(trees: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    nothing: dict[str, Any] = {}
    return functools.reduce(merge, trees, nothing)


def _section(tree: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a section of `tree`; it is empty if there is none, or if it is invalid."""
    section = tree.get(name)
    return section if isinstance(section, Mapping) else {}


def _without_saved_idle(values: Mapping[str, Any], later: Collection[str]) -> dict[str, Any]:
    """Return the settings of a file; if TCKR saved them, without those of `privacy` that have no effect.

    A saved file states every setting, so it has every section. Settings named in `later` are not final.
    """
    privacy = _section(values, "privacy")
    if not privacy or not RunConfig.model_fields.keys() <= values.keys():
        return dict(values)
    kept = {name: value for name, value in privacy.items() if f"privacy.{name}" not in later}
    return {**values, "privacy": without_idle(kept, privacy)}


def load_sweep(file: Path) -> Any:
    """Return the section `sweep` of a YAML file as written, or None if there is none."""
    return _read_yaml(file).get(SWEEP)


def _settings(tree: Mapping[str, Any], context: Any = None) -> Settings:
    _refuse_unknown(tree)
    try:
        return _with_absolute_source(Settings.model_validate(tree, context=context))
    except ValidationError as error:
        raise UserError(_explain(error, tree)) from None


def run_name(text: str) -> str:
    """Return `text` as the name of a run's folder; characters other than letters, digits, `.`, `_` and `-` are replaced."""
    safe = "".join(char if char.isascii() and (char.isalnum() or char in "._-") else "-" for char in text).lstrip("._-")
    return safe[:100] or "run"


def absolute_source(source: str) -> str:
    """Return `source` as an absolute path if it exists, so that a run continues from any working directory."""
    return source if source == "digits" else from_any_folder(source)


def saved_source(file: Path) -> str | None:
    """Return the data source named in a saved configuration, or None if there is no such file."""
    section = _read_yaml(file).get("prepare") if file.is_file() else None
    return absolute_source(str(section["source"])) if isinstance(section, dict) and "source" in section else None


def _with_absolute_source(settings: Settings) -> Settings:
    prepare = settings.prepare.model_copy(update={"source": absolute_source(settings.prepare.source)})
    return settings.model_copy(update={"prepare": prepare})


def settings_text(settings: Settings, sweep: Any = None) -> str:
    """Return the resolved settings, and the section `sweep` if given, as YAML; reading it gives the same settings."""
    tree = settings.model_dump(mode="json") | ({SWEEP: sweep} if sweep is not None else {})
    return write_yaml(tree)


def setting_names(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[str]:
    """Yield the dotted name of every setting, including sections."""
    for name, field in model.model_fields.items():
        yield prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from setting_names(field.annotation, f"{prefix}{name}.")


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            written = stream.read(MOST_BYTES + 1)
        values = _plain(written)
    except FileNotFoundError:
        raise UserError(f"no config file at {shown(file)}; give a YAML file, a run folder, or --data FOLDER") from None
    except (OSError, ValueError) as error:  # ValueError: not plain YAML, or a path with a NUL character
        why = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{shown(file)} cannot be read as YAML: {why}; see `tckr run --help` for the form") from None
    if not isinstance(values or {}, dict):
        raise UserError(
            f"{shown(file)} contains {shown(values)}; a config is a mapping of sections, e.g. `prepare: {{source: DIR}}`"
        )
    return values or {}


def _plain(written: bytes) -> Any:
    """Return the value in the bytes of a file.

    Raises:
        NotPlainError: there are too many bytes, or they are not UTF-8 or not plain YAML.
    """
    if len(written) > MOST_BYTES:
        raise NotPlainError(f"it has more than {MOST_BYTES:,} bytes")
    try:
        return read_yaml(written.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise NotPlainError(f"byte {error.start} is not UTF-8; save the file as UTF-8") from None


def _read_preset(name: str) -> dict[str, Any]:
    if name not in PRESETS:
        raise UserError(f"unknown preset {shown(name)}; expected one of {', '.join(PRESETS)}")
    text = (resources.files("tckr") / "presets" / f"{name}.yaml").read_text(encoding="utf-8")
    return read_yaml(text) or {}


def _refuse_unknown(tree: Mapping[str, Any], model: type[BaseModel] = Settings, prefix: str = "") -> None:
    """Raise a UserError for the first setting that `model` does not have, suggesting the nearest name."""
    for name, value in tree.items():
        field = model.model_fields.get(name)
        if field is None:
            raise UserError(_unknown(prefix + str(name)))
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            if not isinstance(value, Mapping):
                raise UserError(
                    f"{prefix}{name} is a section; found {shown(value)}; set one of its fields, e.g. "
                    f"{prefix}{name}.{next(iter(section.model_fields))}=..."
                )
            _refuse_unknown(value, section, f"{prefix}{name}.")


def _unknown(name: str) -> str:
    if name == "preset":
        return "found setting preset=...; choose a preset with --preset NAME, or with `preset: NAME` in the config file"
    known = list(setting_names())
    if name in known:  # `generate.cardinality: 5` in a file
        nested = name.replace(".", ": {") + ": ..." + "}" * name.count(".")
        return f"found {name} as one name; in YAML, nest the mappings: {nested}"
    near = difflib.get_close_matches(name[:MOST_CHARACTERS], known, 1, 0.5)
    same_leaf = [other for other in known if other.split(".")[-1] == name.split(".")[-1]]
    guess = (same_leaf or near)[:1]
    hint = f"Did you mean {guess[0]}?" if guess else "See docs/settings.md for all settings."
    return f"unknown setting {shown_name(name)}. {hint}"


MOST_PROBLEMS = 5
"""Number of problems that a message lists."""

EXPECTED = {
    "int_type": "expected an integer in decimal digits without leading zeros, such as 100",
    "float_type": "expected a decimal number, such as 0.1, 30 or 1e-3",
    "bool_type": "expected true or false",
    "string_type": "expected a text; put a number, true, false or null in quotes",
    "path_type": "expected a path; put a number, true, false or null in quotes",
}
"""Type of pydantic error -> message. Older YAML readers take `0100` for 64, `1:30` for 90 and `yes` for true."""


def _explain(error: ValidationError, tree: Mapping[str, Any]) -> str:
    settings: dict[str, list[Mapping[str, Any]]] = {}
    for problem in error.errors(include_url=False):
        settings.setdefault(_name(problem["loc"], tree), []).append(problem)
    lines = [_problem(name, problems) for name, problems in islice(settings.items(), MOST_PROBLEMS)]
    return "; ".join([*lines, *([f"and {len(settings) - MOST_PROBLEMS} more"] if len(settings) > MOST_PROBLEMS else [])])


def _name(location: Sequence[int | str], tree: Any) -> str:
    """Return the name of the setting: the parts of pydantic's location that lead into `tree`.

    The others name a type, where a setting may have several, or say that a key is meant.
    """
    names = []
    for part in location:
        keys = tree if isinstance(tree, Mapping) else range(len(tree)) if isinstance(tree, list | tuple) else ()
        if part in keys:
            names.append(str(part))
            tree = tree[part]
    return ".".join(names)


def _problem(name: str, problems: Sequence[Mapping[str, Any]]) -> str:
    """Return the problem of one setting; it has several if no type that it may have fits."""
    first = problems[0]
    whole_section = first["type"] == "value_error" and isinstance(first.get("input"), Mapping)
    found = "" if whole_section else f"found {shown(first.get('input'))}; "
    texts = [EXPECTED.get(problem["type"], problem["msg"].removeprefix("Value error, ")) for problem in problems]
    about = f"setting {shown_name(name)}: " if name else ""
    return f"{about}{found}{', or '.join(text[0].lower() + text[1:] for text in texts)}"
