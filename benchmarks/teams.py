"""Train one classifier by one process and by two together, as execution.gpus=2 does; compare losses and seconds.

    python benchmarks/teams.py                                                 # a small vision transformer on this CPU
    python benchmarks/teams.py --device cuda --model resnet18 --size 224       # batch normalisation over both processes

Two processes with a GPU each send their gradients through NCCL. Where there is one GPU alone they share it and send through
gloo, by way of the host: NCCL takes no two processes on one device. That shows whether two compute what one computes, and
what their messages cost; nothing can be gained there. Torch's launcher starts every process, the single one too.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from transformers import ViTConfig, ViTForImageClassification

from measure import Row, add_shared_arguments, print_rows, write_result
from tckr.models.classifiers import Classifier, build_classifier
from tckr.models.classifiers.embedded import PLAIN
from tckr.training.batches import TrainingData
from tckr.training.config import AugmentConfig, TrainingConfig
from tckr.training.data_parallel import share_statistics
from tckr.training.fit import Task, fit
from tckr.training.losses import CrossEntropy
from tckr.training.process_group import Team, Tell, train_together

NAMES = [str(label) for label in range(10)]
SAME = 0.02
"""Largest relative difference of an epoch's mean loss; single weights may move further by the order of sums."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is trained where; picklable."""

    model: str
    size: int
    images: int
    batch_size: int
    epochs: int
    device: str
    precision: str
    folder: Path

    @property
    def shares_gpu(self) -> bool:
        """Return whether two processes have one GPU together."""
        return self.device.startswith("cuda") and torch.cuda.device_count() < 2

    @property
    def backend(self) -> str:
        """Return what two processes send through."""
        return "nccl" if self.device.startswith("cuda") and not self.shares_gpu else "gloo"

    def task(self) -> Task:
        """Return the training, the same in every process."""
        random = np.random.default_rng(0)
        images = random.integers(256, size=(self.images, self.size, self.size, 3), dtype=np.uint8)
        labels = random.integers(len(NAMES), size=self.images)
        config = TrainingConfig(
            epochs=self.epochs,
            batch_size=self.batch_size,
            augment=AugmentConfig.none(),
            selection="last",
            precision=self.precision,
        )
        return Task(self._classifier(), TrainingData(images, np.arange(self.images), labels), None, CrossEntropy(), config)

    def _classifier(self) -> Classifier:
        if self.model != "vit":
            return build_classifier(f"embedded:{self.model}", len(NAMES), NAMES, 1, image_size=self.size)
        torch.manual_seed(1)
        names = dict(enumerate(NAMES))
        shape = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
        labels = {"id2label": names, "label2id": {name: index for index, name in names.items()}}
        return Classifier(ViTForImageClassification(ViTConfig(image_size=32, patch_size=8, **shape, **labels)), PLAIN)


def train(setting: Setting, size: int) -> tuple[list[float], float]:
    """Return the loss of every epoch and the median seconds of those after the first, trained by `size` processes."""
    folder = setting.folder / str(size)
    folder.mkdir()
    found: list[tuple[list[float], float]] = []
    train_together(
        size, partial(_take_part, setting=setting, folder=folder), setting.device, found.append, backend=setting.backend
    )
    return found[0]


def _take_part(team: Team, tell: Tell, *, setting: Setting, folder: Path) -> None:
    device = setting.device if setting.shares_gpu else team.device(setting.device)
    task = setting.task()
    if team.size > 1:
        share_statistics(task.model)
    ends: list[float] = []
    result = fit(task, seed=0, device=device, scratch=folder, team=team, on_epoch=lambda _: ends.append(time.perf_counter()))
    tell(([record.loss for record in result.history], float(median(np.diff(ends)))))


def main() -> None:
    """Read the arguments, train alone and together, compare, print."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(
            **{name: getattr(arguments, name) for name in Setting.__annotations__ if name != "folder"}, folder=Path(folder)
        )
        where = "the same GPU" if setting.shares_gpu else f"{setting.device}, one each"
        print(f"{arguments.model}, {arguments.size} px; two processes on {where}, through {setting.backend}", flush=True)
        losses, rows = {}, []
        for size, name in ((1, "one process"), (2, "two processes")):
            losses[size], seconds = train(setting, size)
            ratio = seconds and rows and setting.images / seconds / rows[0].speed
            rows.append(
                Row(way=name, speed=setting.images / seconds, to_plain=(ratio, ratio, ratio) if ratio else None,
                    note=f"losses {', '.join(f'{loss:.5f}' for loss in losses[size])}")
            )  # fmt: skip
            write_result(arguments.json, rows, backend=setting.backend, shared_gpu=setting.shares_gpu)
    print_rows(rows)
    difference = max(abs(one - two) / one for one, two in zip(losses[1], losses[2], strict=True))
    print(f"largest relative difference of a loss: {difference:.1e}")
    if difference > SAME:
        raise SystemExit("two processes do not train what one trains")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("vit", "resnet", "resnet18"), default="vit")
    parser.add_argument("--size", type=int, default=32, help="side of the images in px (default 32)")
    parser.add_argument("--images", type=int, default=256, help="images of an epoch (default 256)")
    parser.add_argument("--batch-size", type=int, default=64, help="images of a step, of all processes (default 64)")
    parser.add_argument("--epochs", type=int, default=4, help="default 4")
    parser.add_argument("--device", default="cpu", help="torch device (default cpu)")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    add_shared_arguments(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
