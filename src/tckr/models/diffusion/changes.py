"""Add the LoRA of a file to the weights of a pipeline, and check that each weight changed as expected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tckr.errors import UserError, shown
from tckr.models.diffusion.layer_names import Place, adaptable_layers, known_names
from tckr.models.diffusion.lora_file import WHERE, Matrices, read_matrices

TOLERANCE = 16
"""Multiple of the rounding error that the check allows."""


@dataclass(frozen=True)
class Change:
    """Change of a weight: scale x up x down, reshaped to the weight.

    Attributes:
        down: float32 [rank, inputs].
        up: float32 [outputs, rank].
        scale: factor of the product.
    """

    down: torch.Tensor
    up: torch.Tensor
    scale: float

    def times(self, vector: torch.Tensor) -> torch.Tensor:
        """Return the change in the layer's output for `vector`, without computing the product of its matrices."""
        return self.scale * (self.up @ (self.down @ vector.to(self.down)))


def read_changes(pipeline: Any, part: str, file: Path, scale: float) -> dict[Place, Change]:
    """Return the change of every layer in the adapter `file`, multiplied by `scale`.

    Raises:
        UserError: a tensor of the file fits no layer of this pipeline or is not a LoRA; the message names it.
    """
    found, names, layers = read_matrices(file), known_names(pipeline, part), adaptable_layers(pipeline)
    unknown = [name for name in found if name not in names]
    if unknown:
        raise UserError(
            f"adapter {file} does not fit this generator: it has no layer for {len(unknown)} of the {len(found)} names in "
            f"the file, such as {shown(unknown[0])}. {WHERE}"
        )
    changes: dict[Place, Change] = {}
    for name, matrices in found.items():
        weights = {place: layers[place].weight for place in names[name]}
        for place, change in _split(file, name, matrices, weights, scale).items():
            if place in changes:
                raise UserError(
                    f"adapter {file} changes the layer {place.layer} twice, the second time as {shown(name)}; save it once"
                )
            changes[place] = change
    return changes


def _split(
    file: Path, name: str, matrices: Matrices, weights: Mapping[Place, torch.Tensor], scale: float
) -> dict[Place, Change]:
    """Return the rows of each layer that `name` covers."""
    down, up = matrices.down.flatten(1), matrices.up.flatten(1)
    rows = [len(weight) for weight in weights.values()]
    columns = {weight[0].numel() for weight in weights.values()}
    if columns != {down.shape[1]} or sum(rows) != len(up):
        raise UserError(
            f"adapter {file} does not fit this generator: {shown(name)} changes a {len(up)} x "
            f"{down.shape[1]} matrix, but the layer has {sum(rows)} x {max(columns)}. {WHERE}"
        )
    parts = zip(weights, up.split(rows), strict=True)
    return {place: Change(down, part, matrices.scale * scale) for place, part in parts}


@torch.no_grad()
def add_changes(file: Path, pipeline: Any, changes: Mapping[Place, Change]) -> None:
    """Add `changes` to the weights in place, and check the result.

    Raises:
        UserError: the changed weights exceed the range of their type.
    """
    layers = adaptable_layers(pipeline)
    probe = _Probe(layers)
    for place, change in changes.items():
        weight = layers[place].weight
        product = (change.scale * (change.up @ change.down)).view(weight.shape).to(weight.device)
        weight.copy_((weight.float() + product).to(weight.dtype))
    wrong = probe.differing(changes)
    if wrong:
        raise UserError(
            f"adapter {file} was not added correctly to {len(wrong)} of {len(layers)} layers, such as {wrong[0].layer}: the "
            "weights changed by other values than those in the file. Its values may be too large for the "
            "type of the weights; set generate.precision=float32, or use another adapter"
        )


class _Probe:
    """Outputs of all layers for one vector each, before a change, to detect any other change than the expected one."""

    def __init__(self, layers: Mapping[Place, torch.nn.Module]) -> None:
        self.layers = layers
        self.before = {place: self._answer(layer.weight) for place, layer in layers.items()}

    def differing(self, changes: Mapping[Place, Change]) -> list[Place]:
        """Return the layers whose weights did not change by `changes`, up to rounding; other layers must be unchanged."""
        return [place for place in self.layers if not self._fits(place, changes.get(place))]

    def _fits(self, place: Place, change: Change | None) -> bool:
        weight, before = self.layers[place].weight, self.before[place]
        after = self._answer(weight)
        if change is None:
            return torch.equal(after, before)
        vector = self._vector(weight)
        expected = change.times(vector).to(after)
        rounding = torch.finfo(weight.dtype).eps + torch.finfo(torch.float32).eps * len(vector) ** 0.5
        allowed = TOLERANCE * rounding * weight.float().flatten(1).norm(dim=1) * vector.norm() / len(vector) ** 0.5
        size = max(float(before.abs().max()), float(expected.abs().max()))
        return bool(((after - before - expected).abs() <= allowed + TOLERANCE * rounding * size).all())

    def _answer(self, weight: torch.Tensor) -> torch.Tensor:
        return weight.detach().float().flatten(1) @ self._vector(weight)

    @staticmethod
    def _vector(weight: torch.Tensor) -> torch.Tensor:
        """Return a random vector of length 1, the same for all layers with as many inputs."""
        draws = torch.Generator().manual_seed(weight[0].numel())
        return torch.randn(weight[0].numel(), generator=draws).to(weight.device)
