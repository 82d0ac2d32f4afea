"""Silence the progress bars and notices of transformers and diffusers while a checkpoint is loaded."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

LIBRARIES = (transformers_logging, diffusers_logging)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Show only errors: no progress bars, notices or deprecation warnings, which a user cannot fix."""
    levels = [library.get_verbosity() for library in LIBRARIES]
    for library in LIBRARIES:
        library.set_verbosity_error()
        library.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for library, level in zip(LIBRARIES, levels, strict=True):
            library.set_verbosity(level)
            library.enable_progress_bar()
