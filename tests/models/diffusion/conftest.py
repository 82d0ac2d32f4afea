"""The tiny checkpoints as fixtures."""

from tests.tiny_models import tiny_generator, tiny_stochastic_generator, tiny_v_generator  # noqa: F401
