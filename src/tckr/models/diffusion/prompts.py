"""The prompts of a generator. Generation must use the form that the adapter was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from tckr.errors import UserError, shown

if TYPE_CHECKING:  # settings are read without torch
    from tckr.models.diffusion.generator import Generator

PromptForm = Literal["n: c", "n", "c", "n: d"]


def build_prompt(form: PromptForm, class_name: str, caption: str, descriptions: Mapping[str, str]) -> str:
    """Return the prompt in the paper's notation: n = class name, c = caption, d = the fixed description of the class."""
    if form == "n":
        return class_name
    if form == "c":
        return caption
    return f"{class_name}: {caption if form == 'n: c' else descriptions[class_name]}"


def check_descriptions(form: PromptForm, class_names: Sequence[str], descriptions: Mapping[str, str]) -> None:
    """Raise a UserError if the form needs descriptions and a class has none, or a description is for an unknown class."""
    missing = [name for name in class_names if name not in descriptions] if form == "n: d" else []
    unknown = [name for name in descriptions if name not in class_names]
    found = [f"missing: {missing[:5]}"] * bool(missing) + [f"unknown classes: {unknown[:5]}"] * bool(unknown)
    if found:
        raise UserError(
            f"adapt.descriptions needs one text per class for prompt form 'n: d'; {', '.join(found)}; the classes are "
            f"{', '.join(map(shown, class_names[:10]))}{', ...' * (len(class_names) > 10)}; add or rename the texts, or, "
            "for another adapt.prompt_form, remove them"
        )


def describe_cut(generator: Generator, prompts: Sequence[str]) -> str:
    """Return how many of `prompts` the generator cuts, without texts (the log must not contain captions); "" = none."""
    cut = generator.count_cut(prompts)
    return f"{cut} of {len(prompts)} prompts are longer than {generator.num_tokens} tokens and were cut" if cut else ""
