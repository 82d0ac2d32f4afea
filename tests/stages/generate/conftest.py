"""The tiny checkpoints as fixtures, and the inputs of a set."""

from pathlib import Path

import pytest

from tests.stages.generate.tiny_sets import write_adapter
from tests.tiny_artifacts import write_captions
from tests.tiny_models import tiny_generator, tiny_stochastic_generator, tiny_v_generator  # noqa: F401


@pytest.fixture
def inputs(tmp_path: Path, tiny_generator: Path) -> dict[str, Path]:  # noqa: F811
    adapter = write_adapter(tmp_path / "adapter", tiny_generator)
    return {"captions": write_captions(tmp_path / "captions"), "adapter": adapter}
