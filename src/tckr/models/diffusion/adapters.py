"""Locate a published adapter on this machine or on the hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from tckr.errors import UserError
from tckr.models.diffusion.lora import FILE_NAME


def locate_adapter(name: str) -> Path:
    """Return the file or folder called `name`, or the adapter from the hub repository with this id, downloaded once.

    Raises:
        UserError: neither exists.
    """
    if Path(name).exists():
        return Path(name)
    try:
        return Path(hf_hub_download(name, FILE_NAME))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise UserError(
            f"adapter {name!r} is not a file or folder here, and no hub repository with {FILE_NAME} could be read: {reason} "
            "Check the name and the connection, or download it beforehand with `hf download`"
        ) from error
