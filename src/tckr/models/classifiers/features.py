"""What a classifier sees in an image before it decides: the input of its last linear layer."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from tckr.data.transforms import to_device
from tckr.models.classifiers.classifier import Classifier


def predict_features(classifier: Classifier, images: np.ndarray, *, batch_size: int) -> np.ndarray:
    """Return float32 [N, D] of uint8 images [N, H, W, 3]."""
    classifier.eval()
    last = [module for module in classifier.network.modules() if isinstance(module, nn.Linear)][-1]
    seen: list[Tensor] = []
    hook = last.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach().float().cpu()))
    try:
        with torch.inference_mode():
            for start in range(0, len(images), batch_size):
                classifier(to_device(images[start : start + batch_size], classifier.device))
    finally:
        hook.remove()
    return torch.cat(seen).flatten(1).numpy()
