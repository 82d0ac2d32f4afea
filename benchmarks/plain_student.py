"""The Student's training as one writes it with PyTorch and Pillow, after the published method, without TCKR's loop.

A data set that decodes a PNG and varies one image at a time, a loader with worker processes, a Teacher in float32 that is
queried with every view, default layout and default AdamW. AugMix is the authors' (google-research/augmix), without numpy's
detours.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

SEVERITY = 3
Operation = Callable[[Image.Image], Image.Image]


class EncodedImages(Dataset[Tensor]):
    """PNG images, decoded and varied one at a time."""

    def __init__(self, encoded: Sequence[bytes]) -> None:
        self.encoded = encoded

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.encoded)

    def __getitem__(self, index: int) -> Tensor:
        """Return one view, float [3, H, W] in [0, 1]."""
        with Image.open(io.BytesIO(self.encoded[index])) as opened:
            image = opened.convert("RGB")
        if np.random.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return augmix(padded_crop(image))


def padded_crop(image: Image.Image) -> Image.Image:
    """Return a crop of the old size from a black border of a tenth of a side."""
    border = round(0.1 * image.width)
    left, top = np.random.randint(2 * border + 1, size=2)
    return ImageOps.expand(image, border).crop((left, top, left + image.width, top + image.height))


def augmix(image: Image.Image) -> Tensor:
    """Return the image blended with three chains of one to three operations."""
    weights, share = np.random.dirichlet([1.0] * 3), float(np.random.beta(1, 1))
    mixture = torch.zeros(3, image.height, image.width)
    for weight in weights:
        chain = image
        for _ in range(np.random.randint(1, 4)):
            chain = OPERATIONS[np.random.randint(len(OPERATIONS))](chain)
        mixture += float(weight) * as_tensor(chain)
    return (1 - share) * as_tensor(image) + share * mixture


def as_tensor(image: Image.Image) -> Tensor:
    """Return float [3, H, W] in [0, 1]."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float().div(255)


def level(largest: float) -> float:
    """Return a random strength of an operation."""
    return np.random.uniform(0.1, SEVERITY) * largest / 10


def signed(largest: float) -> float:
    """Return a random strength either way."""
    return level(largest) if np.random.random() > 0.5 else -level(largest)


def transformed(image: Image.Image, coefficients: tuple[float, ...]) -> Image.Image:
    """Return the image read at transformed points."""
    return image.transform(image.size, Image.Transform.AFFINE, coefficients, resample=Image.Resampling.BILINEAR)


OPERATIONS: tuple[Operation, ...] = (
    ImageOps.autocontrast,
    ImageOps.equalize,
    lambda image: ImageOps.posterize(image, 4 - int(level(4))),
    lambda image: ImageOps.solarize(image, 256 - int(level(256))),
    lambda image: image.rotate(int(signed(30)), resample=Image.Resampling.BILINEAR),
    lambda image: transformed(image, (1, signed(0.3), 0, 0, 1, 0)),
    lambda image: transformed(image, (1, 0, 0, signed(0.3), 1, 0)),
    lambda image: transformed(image, (1, 0, int(signed(image.width / 3)), 0, 1, 0)),
    lambda image: transformed(image, (1, 0, 0, 0, 1, int(signed(image.width / 3)))),
)


def make_loader(encoded: Sequence[bytes], batch_size: int, workers: int, device: str) -> DataLoader[Tensor]:
    """Return a loader whose workers stay alive from epoch to epoch."""
    pinned = device.startswith("cuda")
    return DataLoader(
        EncodedImages(encoded), batch_size, shuffle=True, num_workers=workers, pin_memory=pinned, persistent_workers=True
    )


def train_epoch(
    student: nn.Module, teacher: nn.Module, loader: DataLoader[Tensor], optimizer: torch.optim.Optimizer, device: str
) -> None:
    """Learn the Teacher's word on every view once."""
    student.train()
    for images in loader:
        images = images.to(device, non_blocking=True)
        with torch.no_grad():
            targets = teacher(images).softmax(dim=1)
        loss = nn.functional.cross_entropy(student(images), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
