"""Features of images from a classifier: the input of its last layer."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from tckr.errors import UserError
from tckr.models.classifiers.ensemble import AnyClassifier
from tckr.models.classifiers.predict import predict_logits


def predict_features(
    classifier: AnyClassifier, images: np.ndarray, *, batch_size: int, rows: np.ndarray | None = None
) -> np.ndarray:
    """Return float32 features [N, D] in evaluation mode, computed on the classifier's device.

    They are the flattened input of the last linear layer with one output per class.

    Args:
        classifier: left in evaluation mode.
        images: uint8 [M, H, W, 3]; may be a memory map.
        batch_size: images per forward pass.
        rows: int64 [N], indices of the images, in this order; None = all.

    Raises:
        UserError: the network has no such layer.
    """
    batches: list[np.ndarray] = []
    seen: list[Tensor] = []

    def see(_layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen[:] = [inputs[0]]

    def keep(_amount: int) -> None:  # after the complete pass, because a pass that runs out of memory is repeated in parts
        batches.append(seen.pop().flatten(1).float().cpu().numpy())

    hook = last_layer(classifier).register_forward_pre_hook(see)
    try:
        predict_logits(classifier, images, batch_size=batch_size, rows=rows, advance=keep)
    finally:
        hook.remove()
    return np.concatenate(batches)


def last_layer(classifier: AnyClassifier) -> nn.Linear:
    """Return the last linear layer with as many outputs as classes; raise a UserError if there is none."""
    num_classes = len(classifier.class_names)
    layers = [layer for layer in classifier.network.modules() if isinstance(layer, nn.Linear)]
    layers = [layer for layer in layers if layer.out_features == num_classes]
    if not layers:
        raise UserError(
            f"the classifier ({type(classifier.network).__name__}) has no linear layer with {num_classes} outputs, one per "
            "class, so there are no features before it; choose another model"
        )
    return layers[-1]
