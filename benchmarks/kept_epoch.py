"""Which epoch of a Teacher to keep: the best on the validation images, or the last (`teach.selection`).

    python -m benchmarks.kept_epoch FILE.parquet --images 740 --seeds 0 1 2 3 4
    python -m benchmarks.kept_epoch digits --images 930 --seeds 0 1 2 3 4

One training gives both. A Teacher learns `--images` images, equally many of each class; a fifth as many choose the
epoch, and up to 400 further images of each class test it. Printed for each seed and way: the epoch, the accuracy on the
test images, the mean margin on them (logit of the true class less the largest other one; the parity check of the audit
looks at its spread between seeds), and the AUC of an attack by this margin alone, training against test images.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

from benchmarks.unequal_classes import draw, read_images
from tckr.data.seeds import derive_seed
from tckr.models.classifiers import predict_logits
from tckr.stages.teach.config import TeachConfig
from tckr.training.batches import TrainingData
from tckr.training.early_stopping import EpochRecord, kept_epoch
from tckr.training.fit import Task, fit, new_classifier
from tckr.training.losses import CrossEntropy

WAYS = ("best", "last")


class Found(NamedTuple):
    """What one kept epoch is worth: accuracy in [0, 1], mean margin in nats, AUC in [0, 1]."""

    epoch: int
    accuracy: float
    margin: float
    auc: float


def read(source: str) -> tuple[np.ndarray, np.ndarray]:
    """Return uint8 images (N, 32, 32, 3) and labels (N)."""
    if source != "digits":
        return read_images(Path(source), None)
    images, labels = load_digits(return_X_y=True)
    grey = np.kron((images.reshape(-1, 8, 8) * 15.9).astype(np.uint8), np.ones((4, 4), np.uint8))
    return np.repeat(grey[..., None], 3, axis=-1), labels


def margins(logits_NK: np.ndarray, labels_N: np.ndarray) -> np.ndarray:
    """Return the logit of the true class less the largest other one."""
    true_N1 = np.take_along_axis(logits_NK, labels_N[:, None], axis=1)
    others_NK = np.where(np.arange(logits_NK.shape[1]) == labels_N[:, None], -np.inf, logits_NK)
    return true_N1[:, 0] - others_NK.max(axis=1)


def found_by_one_training(
    images: np.ndarray, rows: list[np.ndarray], labels: list[np.ndarray], seed: int
) -> dict[str, Found]:
    """Train one Teacher and return what the best and the last epoch are worth."""
    config = TeachConfig(selection="last")
    model = new_classifier(
        config, [str(label) for label in range(int(labels[0].max()) + 1)], derive_seed(seed, "initialise")
    )
    history: list[EpochRecord] = []
    found: dict[str, Found] = {}

    def look(record: EpochRecord) -> None:
        history.append(record)
        for way in WAYS:
            if kept_epoch(history, way) == record.epoch and (way == "best" or record.epoch == config.epochs - 1):
                found[way] = measured(record.epoch)

    def measured(epoch: int) -> Found:
        training, _, test = (predict_logits(model, images, rows=part, batch_size=512) for part in rows)
        model.train()
        surer = np.concatenate([margins(training, labels[0]), margins(test, labels[2])])
        auc = roc_auc_score(np.arange(len(surer)) < len(training), surer)
        return Found(epoch, float((test.argmax(1) == labels[2]).mean()), float(margins(test, labels[2]).mean()), float(auc))

    data, validation = (TrainingData(images, rows[part], labels[part]) for part in (0, 1))
    with TemporaryDirectory() as scratch:
        task = Task(model, data, validation, CrossEntropy(config.label_smoothing), config)
        fit(task, seed=seed, device="cpu", scratch=Path(scratch), on_epoch=look)
    return found


def differences(all_found: list[dict[str, Found]]) -> None:
    """Print last minus best, with 95 % t-intervals over seeds, and the spread of the margin between seeds."""
    for name, scale in (("accuracy", 100), ("auc", 1)):
        gained = np.array([scale * (getattr(each["last"], name) - getattr(each["best"], name)) for each in all_found])
        half = stats.t.ppf(0.975, len(gained) - 1) * stats.sem(gained) if len(gained) > 1 else np.nan
        print(f"{name}: last - best = {gained.mean():+.3f} [{gained.mean() - half:+.3f}, {gained.mean() + half:+.3f}]")
    for way in WAYS:
        print(
            f"margin between seeds, {way}: standard deviation {np.std([each[way].margin for each in all_found], ddof=1):.3f}"
        )


def main() -> None:
    """Print a row for each seed and way, then the differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="a Parquet file with the columns image and label, or digits")
    parser.add_argument("--images", type=int, required=True, help="training images")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    given = parser.parse_args()
    images, labels = read(given.source)
    counts = dict.fromkeys(np.unique(labels).tolist(), given.images // len(np.unique(labels)))
    print("| seed | kept | epoch | accuracy | margin | AUC |\n|---|---|---|---|---|---|")
    all_found = []
    for seed in given.seeds:
        all_found.append(found_by_one_training(images, *draw(labels, counts, seed), seed))
        for way, found in all_found[-1].items():
            print(
                f"| {seed} | {way} | {found.epoch + 1} | {found.accuracy:.3f} | {found.margin:.2f} | {found.auc:.3f} |",
                flush=True,
            )
    differences(all_found)


if __name__ == "__main__":
    main()
