"""The tiny checkpoints as fixtures."""

from __future__ import annotations

from pathlib import Path

import pytest

from tckr.models.diffusion.latent import LatentDiffusion
from tests.tiny_generators import BUILDERS, build_family
from tests.tiny_models import fresh_generator, tiny_generator, tiny_stochastic_generator, tiny_v_generator  # noqa: F401


@pytest.fixture(scope="session")
def families(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the folder of a tiny checkpoint of every family."""
    return {name: build_family(name, tmp_path_factory.mktemp(name)) for name in BUILDERS}


@pytest.fixture(params=list(BUILDERS))
def family(request: pytest.FixtureRequest) -> str:
    """Return the name of each family in turn."""
    return request.param


@pytest.fixture
def generator(family: str, families: dict[str, Path]) -> LatentDiffusion:
    """Return a freshly loaded generator of each family in turn."""
    return fresh_generator(families[family])
