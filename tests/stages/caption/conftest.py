"""The tiny checkpoints as fixtures."""

from tests.tiny_models import tiny_captioner  # noqa: F401
