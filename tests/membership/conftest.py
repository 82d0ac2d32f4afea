"""The tiny generators as fixtures."""

from tests.tiny_models import loud_generator, tiny_generator  # noqa: F401
