"""The checkpoints shipped in the package, trained by `pretraining/`; knows their names and folders, not their classes."""

from __future__ import annotations

from pathlib import Path

from tckr.errors import UserError, shown

PREFIX = "embedded:"
WHEN_LOCAL = "Download or copy the folder again, as .safetensors (pickled weights such as .bin are not read)"
WHEN_REMOTE = (
    "No folder of this name is here, so it was taken for the id of one on the hub. Check the name and the connection, "
    "download it beforehand with `hf download`"
)
"""What to do when a checkpoint in a folder, or one of any other name, cannot be read."""
CLASSIFIERS = ("embedded:resnet", "embedded:resnet18")
"""Architectures that are built, not loaded (`tckr.models.classifiers.build.EMBEDDED`)."""
FOLDERS = {"embedded:captioner": "captioner", "embedded:generator": "generator"}


def resolve(name: str) -> str:
    """Return the folder that an `embedded:` name stands for; any other name (a hub id or a path) is returned unchanged.

    Raises:
        UserError: no embedded model has this name, or the installed package lacks its files.
    """
    if not name.startswith(PREFIX):
        return name
    if name not in FOLDERS:
        raise UserError(f"no embedded model is called {shown(name)}; the package ships {', '.join(FOLDERS)}")
    folder = Path(__file__).parent / FOLDERS[name]
    if not any(folder.glob("*.json")):
        raise UserError(f"{name} should lie in {folder}, which holds no checkpoint; install the package again")
    return str(folder)
