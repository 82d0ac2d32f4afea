"""Attack the random choices of a run: an attacker with the source images and all shared files guesses who was a member.

    python benchmarks/attack_draws.py RUN --data SOURCE [--guesses 1000] [--secret STORE/secret]

No model is queried. The attacker knows this code, has the images, and reads the report (html and json) and what lies in the
artifacts of `generate`, `label` and `distill`: manifests, settings, the column `seed`. Tried as the root seed of `prepare`
are all numbers found there, 0 to `--guesses`, and keyed roots under weak or published secrets. The first one that something
published confirms is taken, else the likeliest, 0.

Printed is the attack's AUC (95 % interval, 0.5 = guessing) for an attacker who
    all          has all images;
    most         lacks 5 % of them;
    single       has one image at a time, and the class sizes of the report;
    insider      has all images and knows of one half who is a member; the guess that fits best tells about the other half;
    canaries     has all images, and guesses which records were given a wrong label (where the run has canaries);
    split        has a guess of the test split, and checks it against all published digests;
    fingerprint  has a guess of the source's digest, and checks it against published fingerprints;
    settings     has a guess of the images that were generated again (`generate.redraw`), and checks it in the same way.
In the last three a guess is right or wrong in one part; the right one counts as often as the wrong ones.

The artifact of `prepare` is read for the truth, and for what an attacker may have guessed: its settings, the test split in
its order. With `--secret` the attacker has the secret of the store as well: a control, in which the attack must succeed.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tckr.artifacts.membership import read_canaries, read_membership
from tckr.data.images import iterate_images
from tckr.data.normalise import max_file_bytes
from tckr.data.seeds import image_seed
from tckr.data.shards import list_shards, read_columns
from tckr.data.sources.opening import open_source
from tckr.data.sources.record import TEST
from tckr.engine.fingerprint import canonical
from tckr.engine.seal import place_of
from tckr.metrics.estimate import Measured
from tckr.metrics.membership import auc
from tckr.stages.prepare.canaries import draw_canaries
from tckr.stages.prepare.class_names import renamed
from tckr.stages.prepare.config import PrepareConfig
from tckr.stages.prepare.drawing import draw_by_group
from tckr.stages.prepare.membership import membership_rows
from tckr.stages.prepare.splitting import Splits, split_records
from tckr.stages.prepare.staging import Staged, stage_records
from tckr.stages.prepare.usable_records import screen

RELEASED = ("generate", "label", "distill")
WEAK_SECRETS = (b"", bytes(32), hashlib.sha256(b"").digest(), b"tckr", b"secret", b"public")
SEEDS = range(10)
MISSING = 0.05
IMPUTATIONS = 200
WRONG_GUESSES = 40
CHECKED = 3
"""Synthetic images whose published seed must fit a root."""

HOLE = "a root seed"
"""Its place in the written form of a step."""

MISLABELLED = 2


@dataclass(frozen=True, kw_only=True)
class Shared:
    """The numbers and digests in the shareable files of a run.

    Attributes:
        card: the data card in the report.
        numbers: all integers, smallest first.
        digests: all runs of 16 or more hexadecimal digits.
        drawn: (index, label, seed) of some synthetic images.
    """

    card: dict[str, Any]
    numbers: list[int] = field(default_factory=list)
    digests: set[str] = field(default_factory=set)
    drawn: list[tuple[int, int, int]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The random choices of `prepare`, by the SHA-256 of the pixels: for scores, and for guesses that are right."""

    members: dict[str, bool]
    mislabelled: dict[str, bool]
    test: list[tuple[int, int, str]]
    prepare: dict[str, Any]
    generate: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Attacker:
    """An outsider with the source's usable records, the settings of `prepare`, and what is shared."""

    records: list[Staged]
    config: PrepareConfig
    shared: Shared

    @property
    def class_names(self) -> list[str]:
        """Return the class names, index = label."""
        return self.shared.card["class_names"]

    def splits(self, root: int) -> Splits:
        """Return the splits that follow from a root seed."""
        config = self.config
        return split_records(
            self.records, seed=root, test_fraction=config.test_fraction, validation_fraction=config.validation_fraction
        )

    def draw(self, root: int) -> tuple[dict[str, bool], dict[str, bool]]:
        """Return who is a member and who a mislabelled canary, if all follows from this root seed."""
        pool, kinds = draw_canaries(
            self.splits(root).pool, num_canaries=self.config.num_canaries, num_classes=len(self.class_names), seed=root
        )
        draws = {"audit_holdout": self.config.audit_holdout, "num_rows": 1, "seed": root}
        row = next(draw_by_group(pool, kinds > 0, self.class_names, **draws))
        names = [record.sha256 for record in pool]
        return dict(zip(names, row.tolist(), strict=True)), dict(zip(names, (kinds == MISLABELLED).tolist(), strict=True))

    def confirmed(self, root: int) -> bool:
        """Return whether something published follows from this root seed."""
        asked = self.shared.drawn[:CHECKED]
        if asked and all(image_seed(root, self.class_names[label], index) == seed for index, label, seed in asked):
            return True
        splits = self.splits(root)
        first = splits.first_record("test")
        test = [(first + number, record.label, record.sha256) for number, record in enumerate(splits.test)]
        return not self.shared.digests.isdisjoint(locks(test, [root]))


def keyed_root(secret: bytes, label: str, seed: int) -> int:
    """Return the root seed under a guessed secret of `prepare` or of the `run`; written anew, as an attacker would."""
    return int.from_bytes(hmac.digest(secret, json.dumps([label, seed]).encode(), "sha256"), "big")


def guesses(shared: Shared, count: int) -> list[int]:
    """Return root seeds to try, likeliest first."""
    secrets = [*WEAK_SECRETS, *(bytes.fromhex(text) for text in sorted(shared.digests) if len(text) % 2 == 0)]
    keyed = [keyed_root(secret, "prepare", seed) for secret in secrets for seed in SEEDS[:3]]
    hexadecimal = [int(text, 16) for text in sorted(shared.digests)]
    return list(dict.fromkeys([0, *shared.numbers, *range(count), *keyed, *hexadecimal]))


def locks(test: Sequence[tuple[int, int, str]], roots: Iterable[int]) -> set[str]:
    """Return the digests that a test split may be locked with: plain, or keyed from a guessed root seed."""
    lines = "".join(f"{record} {label} {sha256}\n" for record, label, sha256 in test).encode()
    keys = (hashlib.sha256(json.dumps([root, "test split lock"]).encode()).digest() for root in roots)
    return {hashlib.sha256(lines).hexdigest(), *(hmac.digest(key, lines, "sha256").hex() for key in keys)}


def attack(attacker: Attacker, truth: Truth, num_guesses: int, secret: bytes | None = None) -> dict[str, Measured]:
    """Return the AUC of every attacker of the module's list that the run allows; with `secret`, guesses begin with it."""
    known = [keyed_root(secret, label, seed) for label in ("prepare", "run") for seed in SEEDS] if secret else []
    roots = [*known, *guesses(attacker.shared, num_guesses)]
    chosen = next((root for root in roots if attacker.confirmed(root)), roots[0])
    drawn, wrong = attacker.draw(chosen)
    everyone = sorted(truth.members)
    found = {"all": _auc({name: float(drawn.get(name, 0)) for name in everyone}, truth.members)}
    if not attacker.config.num_canaries:
        found["most"] = _auc(_with_missing(attacker, chosen, MISSING), truth.members)
        found["single"] = _auc(_each_alone(attacker, chosen), truth.members)
    found["insider"] = _insider(attacker, truth.members, roots)
    if any(truth.mislabelled.values()):
        found["canaries"] = _auc({name: float(wrong.get(name, 0)) for name in everyone}, truth.mislabelled)
    checks = {"split": _check_splits, "fingerprint": _check_prints}
    checks |= {"settings": _check_settings} if truth.generate else {}
    return found | {name: check(attacker, truth, roots) for name, check in checks.items()}


def _auc(scores: dict[str, float], truth: dict[str, bool]) -> Measured:
    """Return the AUC over the records that are scored and of which the truth is known."""
    names = sorted(set(scores) & set(truth))
    return auc(np.array([scores[name] for name in names]), np.array([truth[name] for name in names]), 0.95)


def _insider(attacker: Attacker, members: dict[str, bool], roots: Sequence[int]) -> Measured:
    names = np.random.default_rng(0).permutation(sorted(members)).tolist()
    told, asked = names[::2], names[1::2]

    def fit(root: int) -> int:
        drawn, _ = attacker.draw(root)
        return sum(drawn.get(name) is members[name] for name in told)

    drawn, _ = attacker.draw(max(roots, key=fit))
    return _auc({name: float(drawn.get(name, 0)) for name in asked}, members)


def _with_missing(attacker: Attacker, root: int, share: float) -> dict[str, float]:
    """Return the chance of membership of each record for an attacker who lacks a random share of the records."""
    rng = np.random.default_rng(1)
    lacking = set(rng.permutation([record.sha256 for record in attacker.records])[: round(share * len(attacker.records))])
    scores: dict[str, float] = {}
    for ranked, pattern, first in _classes(attacker, root):
        kept = [(rank, name) for rank, name in ranked if name not in lacking]
        ranks, missing = np.array([rank for rank, _ in kept]), len(ranked) - len(kept)
        total, inside = np.zeros(len(kept)), np.zeros(len(kept))
        for _ in range(IMPUTATIONS):
            places = np.arange(len(kept)) + np.searchsorted(np.sort(rng.random(missing)), ranks) - first
            total += np.where(places >= 0, pattern[places.clip(0)], 0)
            inside += places >= 0
        scores |= {name: (hits + 0.5) / (draws + 1) for (_, name), hits, draws in zip(kept, total, inside, strict=True)}
    return scores


def _each_alone(attacker: Attacker, root: int) -> dict[str, float]:
    """Return the chance of membership of each record for an attacker who has no other one."""
    rng = np.random.default_rng(2)
    scores = {}
    for ranked, pattern, first in _classes(attacker, root):
        for rank, name in ranked:
            places = rng.binomial(len(ranked) - 1, rank, IMPUTATIONS) - first
            inside = places[places >= 0]
            scores[name] = (pattern[inside].sum() + 0.5) / (len(inside) + 1)
    return scores


def _classes(attacker: Attacker, root: int) -> Iterator[tuple[list[tuple[float, str]], np.ndarray, int]]:
    """Yield per class: (rank, name) of its records in order, membership by place in the pool, place of the first one.

    Who is a member follows from the sizes of the classes, which are in the report, and from places in the order.
    """
    counts = [attacker.shared.card["counts"][name] for name in attacker.class_names]
    labels = np.repeat(np.arange(len(counts)), [count["pool"] for count in counts])
    none, holdout = np.zeros(len(labels), dtype=bool), attacker.config.audit_holdout
    row = next(membership_rows(labels, none, audit_holdout=holdout, num_rows=1, seed=root))
    given_test = any(record.origin == TEST for record in attacker.records)
    for label, count in enumerate(counts):
        own = [record for record in attacker.records if record.label == label and record.origin != TEST]
        ranked = sorted((_rank(root, record.sha256), record.sha256) for record in own)
        yield ranked, row[labels == label], count["validation"] + (0 if given_test else count["test"])


def _rank(root: int, sha256: str) -> float:
    """Return a record's place in the order of its class, as `prepare` computes it, as a share in [0, 1)."""
    return int.from_bytes(hashlib.sha256(f"{root}:{sha256}".encode()).digest()[:6], "big") / 2**48


def _check_splits(attacker: Attacker, truth: Truth, roots: Sequence[int]) -> Measured:
    """Compare guesses of the test split, order included: the right one, and one with a record exchanged, once per record."""
    published, few = attacker.shared.digests, roots[:200]
    right = bool(published & locks(truth.test, few))
    wrong = [
        bool(published & locks([*truth.test[:place], (record, label, name[::-1]), *truth.test[place + 1 :]], few))
        for place, (record, label, name) in enumerate(truth.test[:WRONG_GUESSES])
    ]
    return _verdicts([right] * len(wrong), wrong)


def _check_prints(attacker: Attacker, truth: Truth, roots: Sequence[int]) -> Measured:
    """Compare guesses of the source's digest, with all else of `prepare` known but its root seed."""
    guessed = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(WRONG_GUESSES)]
    manifests = [truth.prepare | {"reads": {"source": digest}} for digest in (truth.prepare["reads"]["source"], *guessed)]
    right, *wrong = [_committed(attacker, manifest, roots) for manifest in manifests]
    return _verdicts([right] * len(wrong), wrong)


def _check_settings(attacker: Attacker, truth: Truth, roots: Sequence[int]) -> Measured:
    """Compare guesses of the images that were generated again; the fingerprints of the inputs are published."""
    config, redrawn = truth.generate["config"], truth.generate["config"]["redraw"]
    guessed = [redrawn, *([*redrawn, number] for number in range(WRONG_GUESSES))]
    right, *wrong = [
        _committed(attacker, truth.generate | {"config": config | {"redraw": redraw}}, roots) for redraw in guessed
    ]
    return _verdicts([right] * len(wrong), wrong)


def _committed(attacker: Attacker, manifest: dict[str, Any], roots: Sequence[int]) -> bool:
    """Return whether a published fingerprint is that of the step in `manifest` with one of some root seeds."""
    step = {name: manifest[name] for name in ("stage", "version", "config", "run", "reads", "inputs")}
    before, after = json.dumps(canonical(step | {"seed": HOLE}), sort_keys=True).split(json.dumps(HOLE))
    texts = (f"{before}{root}{after}" for root in roots[:2000])  # of which the seed is the only difference
    return any(hashlib.sha256(text.encode()).hexdigest() in attacker.shared.digests for text in texts)


def _verdicts(right: Sequence[bool], wrong: Sequence[bool]) -> Measured:
    truth = np.arange(len(right) + len(wrong)) < len(right)
    return auc(np.array([*right, *wrong], dtype=np.float64), truth, 0.95)


def read_shared(folder: Path) -> Shared:
    """Return the numbers and digests in the report and in the artifacts that may be released."""
    report = json.loads((folder / "report" / "report.json").read_text(encoding="utf-8"))
    texts = [(folder / "report" / name).read_text(encoding="utf-8") for name in ("report.json", "report.html")]
    artifacts = [folder / "artifacts" / stage for stage in RELEASED]
    files = [path for artifact in artifacts for path in sorted(artifact.rglob("*")) if path.suffix in {".json", ".md"}]
    texts += [path.read_text(encoding="utf-8") for path in files]
    shards = [shard for artifact in artifacts[:1] for shard in list_shards(artifact / "data")]
    columns = read_columns(shards[0].parent, ["index", "label", "seed"]) if shards else {}
    drawn = (
        list(zip(*(columns[name].tolist()[:CHECKED] for name in ("index", "label", "seed")), strict=True)) if columns else []
    )
    numbers = {int(text) for text in re.findall(r"(?<![\w.-])\d{1,80}(?![\w.])", " ".join(texts[:1] + texts[2:]))}
    digests = set(re.findall(r"\b[0-9a-f]{16,64}\b", " ".join(texts)))
    seeds = [seed for _, _, seed in drawn]
    return Shared(card=report["data"], numbers=sorted(numbers)[:5000] + seeds, digests=digests, drawn=drawn)


def read_truth(artifacts: Path, sealed: Path) -> Truth:
    """Return the random choices of `prepare`; `sealed` is the folder of its test split."""
    prepared, drawn = artifacts / "prepare", artifacts / "generate" / "manifest.json"
    names = [name for _, _, name in _stored(prepared / "pool")]
    row, kinds = read_membership(prepared)[0].tolist(), (read_canaries(prepared) == MISLABELLED).tolist()
    return Truth(
        members=dict(zip(names, row, strict=True)),
        mislabelled=dict(zip(names, kinds, strict=True)),
        test=list(_stored(sealed)),
        prepare=json.loads((prepared / "manifest.json").read_text(encoding="utf-8")),
        generate=json.loads(drawn.read_text(encoding="utf-8")) if drawn.exists() else {},
    )


def _stored(folder: Path) -> Iterator[tuple[int, int, str]]:
    for batch in iterate_images(folder, 256):
        for image, label, record in zip(batch["image"], batch["label"], batch["record"], strict=True):
            yield int(record), int(label), hashlib.sha256(image.tobytes()).hexdigest()


def read_source(source: str, config: PrepareConfig) -> list[Staged]:
    """Return the usable records of the source, normalised as `prepare` does; of `config` no draw is used."""
    with tempfile.TemporaryDirectory() as scratch:
        opened = open_source(
            source,
            **config.opening(),
            max_file_bytes=max_file_bytes(config.max_pixels),
            cache=Path(scratch) / "cache",
        )
        limits = {"image_size": config.image_size, "max_pixels": config.max_pixels, "num_threads": 1}
        staged = stage_records(opened, Path(scratch) / "staged", **limits, advance=lambda amount: None)
        names = renamed(opened.class_names, config.class_names)
    return [replace(record, file="") for record in screen(staged, names, config.min_images_per_class).records]


def attack_run(
    folder: Path, source: str, shared: Shared, num_guesses: int, secret: bytes | None = None
) -> dict[str, Measured]:
    """Attack the run in `folder`, whose source an attacker holds."""
    prepared = (folder / "artifacts" / "prepare").resolve()
    sealed = json.loads((prepared / "manifest.json").read_text(encoding="utf-8"))["sealed"]
    place = place_of(prepared.parent.parent / "sealed" / "prepare" / prepared.name, sealed)
    with _copy_readable(place / "test") as test:
        truth = read_truth(folder / "artifacts", Path(test))
    config = PrepareConfig(**truth.prepare["config"])
    attacker = Attacker(records=read_source(source, config), config=config, shared=shared)
    return attack(attacker, truth, num_guesses, secret)


def _copy_readable(sealed: Path) -> tempfile.TemporaryDirectory[str]:
    """Copy the test split, which is closed (mode 0), without touching its seal."""
    copy = tempfile.TemporaryDirectory()
    for path in sealed.glob("*.parquet"):
        mode = path.stat().st_mode
        path.chmod(0o400)
        try:
            (Path(copy.name) / path.name).write_bytes(path.read_bytes())
        finally:
            path.chmod(mode)
    return copy


def main() -> None:
    """Print the AUC of every attacker."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--data", required=True, help="the images that the attacker holds")
    parser.add_argument("--guesses", type=int, default=1000, help="root seeds 0 to this are tried")
    parser.add_argument("--secret", type=Path, help="the secret of the store, which no attacker has")
    arguments = parser.parse_args()
    secret = bytes.fromhex(arguments.secret.read_text(encoding="ascii")) if arguments.secret else None
    shared = read_shared(arguments.run)
    for name, found in attack_run(arguments.run, arguments.data, shared, arguments.guesses, secret).items():
        print(f"{name:12s} AUC {found}")


if __name__ == "__main__":
    main()
