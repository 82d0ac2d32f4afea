"""A real tiny run, full of private words, and releases of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tckr.config import load_settings
from tckr.engine.contents import MANIFEST, file_digest, read_manifest, write_manifest
from tckr.running import RunResult, run

MARKER = "zoe_winter"
"""In every private word: source, file names, captions, prompts, name of the run, name of the user."""

SECRET = bytes(range(32))
CLASSES = [f"class{label}" for label in range(10)]
NUM_IMAGES = 32
"""Of the synthetic set: as many as members."""
TINY = [
    "audit.num_reference_runs=0",
    "adapt.steps=1",
    "adapt.batch_size=4",
    "generate.steps=1",
    "generate.cardinality=0.5",
    "generate.redraw=[4]",
    "teach.epochs=1",
    "label.views=2",
    "distill.epochs=1",
    "execution.threads=1",
    "execution.workers=1",
    f"caption.prompt=who is {MARKER}?",
]


@pytest.fixture(scope="session")
def source(tmp_path_factory) -> Path:
    """Write 10 classes of 18 noisy pictures with marked names."""
    root, generator = tmp_path_factory.mktemp("home") / MARKER, np.random.default_rng(0)
    for label, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        for number in range(18):
            pixels = np.clip(25 * label + generator.normal(0, 30, (32, 32, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{MARKER}-{number}.png")
    return root


@pytest.fixture(scope="session")
def finished(source, tmp_path_factory) -> RunResult:
    """Run everything once, with captions that hold the marker and a secret that is known here."""
    captions = tmp_path_factory.mktemp("captions") / f"{MARKER}.json"
    captions.write_text(json.dumps({name: [f"a scan of {MARKER} {n}" for n in range(18)] for name in CLASSES}))
    return made(source, tmp_path_factory.mktemp("out"), f"caption.file={captions}", f"execution.name={MARKER}")


def made(source: Path, output: Path, *overrides: str) -> RunResult:
    """Run the tiny pipeline into `output`, whose store has the known secret."""
    settings = load_settings(overrides=[f"prepare.source={source}", f"execution.output={output}", *TINY, *overrides])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("tckr.engine.secret.draw_secret", lambda: SECRET)
        patched.setenv("USER", MARKER)
        patched.setenv("LOGNAME", MARKER)
        return run(settings)


def put(artifact: Path, name: str, text: str) -> None:
    """Replace a file of a finished artifact, as if the stage had written it so."""
    path = artifact.resolve() / name
    path.write_text(text)
    manifest = read_manifest(path.parent)
    manifest["files"][name], manifest["digests"][name] = path.stat().st_size, file_digest(path)
    write_manifest(path.parent, {key: value for key, value in manifest.items() if key != "manifest_digest"})
    assert (path.parent / MANIFEST).is_file()
