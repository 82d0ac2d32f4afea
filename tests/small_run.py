"""A small run of the complete product without reference runs, which tests of several files share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from tckr.config import Settings
    from tckr.running import RunResult

TINY = [
    "audit.num_reference_runs=0",
    "adapt.method=lora",  # all weights and their moments are larger than the little disk of test_full_disk
    "adapt.steps=2",
    "adapt.batch_size=8",
    "generate.steps=2",
    "generate.shard_size=7",
    "teach.epochs=1",
    "distill.epochs=1",
    "execution.workers=1",
    "execution.threads=1",
    "execution.device=cpu",
    "prepare.public=true",  # so that all runs draw the same members
]


@pytest.fixture(scope="session")
def two_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 14 dark and 14 light pictures."""
    root, generator = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for name, level in (("dark", 60), ("light", 190)):
        (root / name).mkdir()
        for index in range(14):
            pixels = np.clip(level + generator.normal(0, 30, (24, 24, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{index}.png")
    return root


def small_settings(pictures: Path, output: Path) -> Settings:
    from tckr.config import load_settings

    return load_settings(overrides=[f"prepare.source={pictures}", f"execution.output={output}", *TINY])


@pytest.fixture(scope="session")
def small_run(two_classes: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, RunResult]:
    """Return the settings and the result of a run that always had room."""
    from tckr.running import run

    chosen = small_settings(two_classes, tmp_path_factory.mktemp("small"))
    return chosen, run(chosen)
