"""A transformers image classifier whose input are images in TCKR's form.

Shape suffixes: B batch, C 3 colours, H height, W width, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from transformers import PreTrainedModel

from tckr.models.classifiers.preprocessing import ClassifierSpec, state_spec, write_spec
from tckr.models.quiet import quiet_libraries


class Classifier(nn.Module):
    """Map float images [B, 3, H, W] in [0, 1] to logits [B, K]; resizing and normalisation run on the device.

    Attributes:
        network: the transformers model; its config contains the class names.
        spec: size and normalisation of the network's input.
    """

    def __init__(self, network: PreTrainedModel, spec: ClassifierSpec) -> None:
        super().__init__()
        self.network = network
        self.spec = spec
        # Buffers move to the device with the module; not persistent, because the specification is saved as JSON.
        self.register_buffer("mean_C11", torch.tensor(spec.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std_C11", torch.tensor(spec.std).view(3, 1, 1), persistent=False)

    @property
    def class_names(self) -> list[str]:
        """Return the K class names in the order of the logits."""
        names = self.network.config.id2label
        return [names[index] for index in range(len(names))]

    @property
    def device(self) -> torch.device:
        """Return the device of the weights."""
        return self.network.device

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return logits [B, K] of float images in [0, 1] of any size."""
        if images_BCHW.shape[2:] != self.spec.input_size:
            images_BCHW = interpolate(images_BCHW, size=self.spec.input_size, mode="bilinear", antialias=True)
        return self.network(pixel_values=(images_BCHW - self.mean_C11) / self.std_C11).logits

    def save(self, folder: Path) -> None:
        """Write the weights (safetensors), config.json and preprocessor_config.json that transformers reads back."""
        state_spec(self.network.config, self.spec)
        with quiet_libraries():
            self.network.to(memory_format=torch.contiguous_format).save_pretrained(folder)
        write_spec(folder, self.spec)


def class_columns(names: Sequence[str], order: Sequence[str]) -> np.ndarray:
    """Return int64 [K] such that `logits[:, columns]` of a model with `names` is in the class order `order`.

    Artifacts are matched by class names, never by indices (the published method mixed two orders).
    """
    assert sorted(names) == sorted(order), f"class names differ: {sorted(names)} against {sorted(order)}"
    position = {name: index for index, name in enumerate(names)}
    return np.array([position[name] for name in order], dtype=np.int64)
