"""The tiny generators as fixtures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.tiny_models import build_generator, tiny_generator  # noqa: F401


@pytest.fixture(scope="session")
def loud_generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny Stable Diffusion whose latents of noise images have a spread of about 1, so that they can be learned."""
    folder = build_generator(tmp_path_factory.mktemp("loud-generator"))
    config = folder / "vae" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"scaling_factor": 4.0}))
    return folder
