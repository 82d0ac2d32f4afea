"""Silence the loading bars and notices of transformers and diffusers while a checkpoint is read; knows no model."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

LIBRARIES = (transformers_logging, diffusers_logging)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Show errors only: no progress bars, notices or deprecation warnings that a user can do nothing about."""
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
