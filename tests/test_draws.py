"""Random choices do not reveal who was a member, even with images and shared files (benchmarks/attack_draws.py)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from benchmarks.attack_draws import Attacker, Shared, attack_run, keyed_root, read_shared, read_source
from PIL import Image
from scipy.special import logit

from tckr.artifacts.membership import read_membership
from tckr.config import RunConfig, load_settings
from tckr.data.images import load_images
from tckr.data.seeds import keyed_root as root_of_the_product
from tckr.data.shards import write_shard
from tckr.engine.step import Step
from tckr.metrics.estimate import Estimate
from tckr.metrics.membership import auc
from tckr.pipeline import pipeline
from tckr.running import run
from tckr.stages.prepare.config import PrepareConfig
from tests.stages.prepare.pictures import prepared

SECRET = bytes(range(32))
"""Fixed, so that what chance alone brings is the same in every call."""

OTHER_SECRET = bytes(range(32, 64))
NUM_GUESSES = 100
ATTACKS_IN_ALL = 30
TINY = [
    "audit.num_reference_runs=0",
    "adapt.steps=1",
    "adapt.batch_size=4",
    "generate.steps=1",
    "generate.cardinality=0.2",
    "teach.epochs=1",
    "distill.epochs=1",
    "execution.threads=1",
    "execution.workers=1",
]


def picture(generator: np.random.Generator, shade: int) -> np.ndarray:
    return np.clip(shade + generator.normal(0, 30, (32, 32, 3)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Write 10 classes of 18 noisy pictures: at this size an attacker with a single image has something to gain."""
    root, generator = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for label in range(10):
        (root / f"class{label}").mkdir()
        for number in range(18):
            Image.fromarray(picture(generator, 25 * label)).save(root / f"class{label}" / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def table(pictures, tmp_path_factory) -> Path:
    """Write the same pictures as tables with a test split of their own."""
    files, root = sorted(pictures.rglob("*.png")), tmp_path_factory.mktemp("table")
    for name, part in (("test", files[::6]), ("train", [file for file in files if file not in files[::6]])):
        columns = {"image": [file.read_bytes() for file in part], "label": [int(file.parent.name[-1]) for file in part]}
        write_shard(root / f"{name}.parquet", columns, [f"class{label}" for label in range(10)])
    return root


def tells_nothing(found: Estimate) -> bool:
    """Return whether a 95 % interval of an AUC, widened so that `ATTACKS_IN_ALL` of them hold together, covers 0.5."""
    wider = NormalDist().inv_cdf(1 - 0.025 / ATTACKS_IN_ALL) / NormalDist().inv_cdf(0.975)
    low, value, high = logit([found.low, found.value, found.high])
    return value - wider * (value - low) <= 0 <= value + wider * (high - value)


def made(output: Path, source: Path, *overrides: str, until: str) -> Path:
    """Run into a store whose secret is known to the test; return the run's folder."""
    settings = load_settings(overrides=[f"prepare.source={source}", f"execution.output={output}", *TINY, *overrides])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("tckr.engine.secret.draw_secret", lambda: SECRET)
        return run(settings, until=until).folder


@pytest.fixture(scope="module")
def finished(pictures, tmp_path_factory) -> Path:
    return made(tmp_path_factory.mktemp("out"), pictures, until="report")


def test_all_that_is_shared_and_all_images_say_nothing_about_membership(finished, pictures):
    found = attack_run(finished, str(pictures), read_shared(finished), NUM_GUESSES)
    assert set(found) == {"all", "most", "single", "insider", "split", "fingerprint", "settings"}
    for name, estimate in found.items():
        assert tells_nothing(estimate), (name, estimate)


def test_with_the_secret_the_same_attack_succeeds(finished, pictures):
    shared = read_shared(finished)
    told = replace(shared, digests=shared.digests | shared_card(finished).digests)  # which no report says any more
    found = attack_run(finished, str(pictures), told, NUM_GUESSES, SECRET)
    assert {name for name, estimate in found.items() if estimate.value == 1} == set(found) - {"most", "single"}
    assert found["most"].value > 0.9
    assert found["single"].low > 0.55


def shared_card(folder: Path) -> Shared:
    """Return what a report on `prepare` alone would say."""
    card = json.loads((folder / "artifacts" / "prepare" / "card.json").read_text())
    manifest = json.loads((folder / "artifacts" / "prepare" / "manifest.json").read_text())
    return Shared(card=card, digests={card["test_sha256"], manifest["fingerprint"]})


@pytest.mark.parametrize(
    ("source", "settings", "attacks"),
    [
        ("pictures", ["prepare.num_canaries=60", "seed=7"], {"all", "insider", "canaries", "split", "fingerprint"}),
        ("table", ["seed=3"], {"all", "most", "single", "insider", "split", "fingerprint"}),
    ],
)
def test_canaries_and_a_test_split_of_the_source_are_as_well_hidden(source, settings, attacks, request, tmp_path):
    data = request.getfixturevalue(source)
    folder = made(tmp_path, data, *settings, until="prepare")
    found = attack_run(folder, str(data), shared_card(folder), NUM_GUESSES)
    assert set(found) == attacks
    for name, estimate in found.items():
        assert tells_nothing(estimate), (name, estimate)
    told = attack_run(folder, str(data), shared_card(folder), NUM_GUESSES, SECRET)
    assert all(estimate.value > 0.65 and estimate.low > 0.5 for estimate in told.values()), told


def test_a_public_set_keeps_no_secret_and_says_so(pictures, tmp_path):
    folder = made(tmp_path, pictures, "prepare.public=true", "seed=5", until="prepare")
    found = attack_run(folder, str(pictures), shared_card(folder), NUM_GUESSES)
    assert {"all", "insider", "split", "fingerprint"} <= {name for name, estimate in found.items() if estimate.value == 1}
    assert shared_card(folder).card["public"]


def test_random_choices_under_other_secrets_say_nothing_about_one_another(pictures):
    config = PrepareConfig(source=str(pictures))
    card = {"class_names": [f"class{label}" for label in range(10)]}
    attacker = Attacker(records=read_source(config.source, config), config=config, shared=Shared(card=card))
    scores: list[float] = []
    truth: list[bool] = []
    for number in range(100):
        guessed, members = (attacker.draw(root)[0] for root in (number, keyed_root(bytes([number]) * 32, "prepare", number)))
        truth += members.values()
        scores += [float(guessed.get(name, 0)) for name in members]
    estimate = auc(np.array(scores), np.array(truth), 0.95)
    assert estimate.covers(0.5)
    assert estimate.high - estimate.low < 0.03


def steps(secret: bytes, **prepare) -> dict[str, Step]:
    config = RunConfig(
        prepare=prepare, audit={"num_reference_runs": 2, "depth": "full"}, distill={"labels": "online"}, seed=4
    )
    return {step.name: step for step in pipeline(config, secret)}


def test_every_draw_and_every_fingerprint_of_a_private_set_follows_from_the_secret(pictures):
    one, again, other = (steps(secret, source=str(pictures)) for secret in (SECRET, SECRET, OTHER_SECRET))
    for name, step in one.items():
        assert step.fingerprint == again[name].fingerprint
        assert step.fingerprint != other[name].fingerprint, name
        assert step.seed != other[name].seed, name
        alone = [replace(each, inputs={}, opens=()).fingerprint for each in (step, other[name])]  # inputs' are shared
        assert alone[0] != alone[1], name


def test_the_root_of_the_splits_is_wide_and_no_other_step_has_it(pictures):
    found = steps(SECRET, source=str(pictures))
    assert found["prepare"].seed == root_of_the_product(SECRET, "prepare", 4) == keyed_root(SECRET, "prepare", 4)
    assert found["teach"].seed == root_of_the_product(SECRET, "run", 4) == keyed_root(SECRET, "run", 4)
    assert min(found["prepare"].seed, found["teach"].seed) > 2**200
    assert [name for name, step in found.items() if step.seed == found["prepare"].seed] == ["prepare"]


@pytest.mark.parametrize("prepare", [{"source": "digits"}, {"source": "owner/name", "public": True}])
def test_a_public_set_has_the_same_random_choices_in_every_store(prepare):
    one, other = steps(SECRET, **prepare), steps(OTHER_SECRET, **prepare)
    assert {name: step.fingerprint for name, step in one.items()} == {name: step.fingerprint for name, step in other.items()}
    assert one["prepare"].seed == one["teach"].seed == 4


@pytest.mark.parametrize(
    ("num_canaries", "splits", "membership"),
    [
        (0, "bc5beb04f08a4082aeb5d526e5f443d6", "4e631d5575871dfc80d0ce4891c889c7"),
        (100, "be86784742eb3e409afd9421fbfd9b59", "3b57a5b17d39c7aca47b8d2791e32f65"),
    ],
)
def test_the_digits_have_the_random_choices_of_the_published_numbers(num_canaries, splits, membership, tmp_path):
    """Version 8 of `prepare` changed membership, not splits: p n is now rounded up or down by chance in every class and row,
    because rounding it the same way in all rows gave small classes rates of their own, which an attack could read.
    """
    root = pipeline(RunConfig(), OTHER_SECRET)[0].seed
    folder = prepared(tmp_path, "digits", seed=root, image_size=32, num_canaries=num_canaries)
    found = hashlib.sha256()
    for split in ("pool", "validation", "test"):
        images = load_images(folder / split, None)
        for pixels, label, record in zip(images.images, images.labels, images.ids, strict=True):
            content = hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()
            found.update(f"{split} {record} {label} {content}\n".encode())
    assert found.hexdigest()[:32] == splits
    assert hashlib.sha256(np.ascontiguousarray(read_membership(folder)).tobytes()).hexdigest()[:32] == membership


def test_a_secret_that_is_brought_along_is_the_one_that_is_used(pictures, tmp_path):
    (tmp_path / "store").mkdir(parents=True)
    (tmp_path / "store" / "secret").write_text(SECRET.hex() + "\n")
    settings = load_settings(overrides=[f"prepare.source={pictures}", f"execution.output={tmp_path}", "seed=4", *TINY])
    found = run(settings, until="prepare").artifacts["prepare"]
    assert found.name == steps(SECRET, source=str(pictures))["prepare"].fingerprint[:20]
    assert (tmp_path / "store" / "secret").read_text() == SECRET.hex() + "\n"


def test_a_name_on_the_hub_is_not_public_by_itself():
    assert steps(SECRET, source="owner/name")["prepare"].seed != 4


def test_only_the_secret_determines_the_random_choices(finished):
    store = finished.parent / "store"
    roots = [keyed_root(SECRET, label, 0) for label in ("prepare", "run")]
    forms = [form for root in roots for form in (str(root), f"{root:x}")] + [SECRET.hex()]
    files = [path for path in finished.parent.rglob("*") if path.is_file() and path != store / "secret"]
    assert len(files) > 30
    for path in files:
        mode = path.stat().st_mode
        path.chmod(mode | 0o400)  # the test split is closed
        content = path.read_bytes()
        path.chmod(mode)
        assert not [form for form in forms if form.encode() in content], path
