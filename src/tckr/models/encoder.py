"""Pretrained image encoders that compute features. Only this module loads them; they are never trained."""

from __future__ import annotations

from dataclasses import dataclass
from inspect import signature
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate
from transformers import AutoModel, PreTrainedModel

from tckr.data.transforms import to_device
from tckr.errors import UserError
from tckr.models.classifiers.preprocessing import ClassifierSpec, read_spec
from tckr.models.complete import incomplete, unusable
from tckr.models.quiet import quiet_libraries


@dataclass(frozen=True)
class Encoder:
    """An image network and its input specification.

    Attributes:
        network: on its device, in evaluation mode.
        spec: size and normalisation; the complete image is scaled, without cropping.
        pools: whether the checkpoint has weights for the network's own pooled output.
    """

    network: PreTrainedModel
    spec: ClassifierSpec
    pools: bool

    def features(self, images: np.ndarray, *, batch_size: int, rows: np.ndarray | None = None) -> np.ndarray:
        """Return float32 features [N, D] of images `rows` (all, if None) of uint8 [M, H, W, 3]."""
        rows = np.arange(len(images)) if rows is None else rows
        batches = [images[rows[start : start + batch_size]] for start in range(0, len(rows), batch_size)]
        with torch.inference_mode():
            found = [self._features(to_device(batch, self.network.device)).float().cpu().numpy() for batch in batches]
        return np.concatenate(found)

    def _features(self, images_BCHW: Tensor) -> Tensor:
        mean_C11, std_C11 = (
            torch.tensor(values, device=images_BCHW.device).view(3, 1, 1) for values in (self.spec.mean, self.spec.std)
        )
        if images_BCHW.shape[2:] != self.spec.input_size:
            images_BCHW = interpolate(images_BCHW, size=self.spec.input_size, mode="bilinear", antialias=True)
        pixels = (images_BCHW - mean_C11) / std_C11
        if hasattr(self.network, "get_image_features"):  # image and text in one space, e.g. CLIP
            found = self.network.get_image_features(pixel_values=pixels)
            return getattr(found, "pooler_output", found)
        output = self.network(pixel_values=pixels)
        if self.pools and getattr(output, "pooler_output", None) is not None:
            return output.pooler_output.flatten(1)
        states = output.last_hidden_state
        return states.mean(dim=1) if states.ndim == 3 else states.mean(dim=(2, 3))


def load_encoder(name: str, device: str) -> Encoder:
    """Return the image network `name` on `device`, in float32.

    The features are the network's pooled output (`pooler_output`, or for CLIP-like models the embedding that is compared
    with text). If the checkpoint has no weights for it, they are the mean over positions of the last hidden state.

    Args:
        name: a hub id, optionally `@revision`, or a folder in `save_pretrained` layout; safetensors only.
        device: torch device name.

    Raises:
        UserError: the checkpoint cannot be used, with the reason.
    """
    source, _, revision = (name, "", "") if Path(name).is_dir() else name.partition("@")
    try:
        with quiet_libraries():
            network, found = AutoModel.from_pretrained(
                source,
                revision=revision or None,
                use_safetensors=True,
                trust_remote_code=False,  # otherwise transformers asks on the terminal whether to run it
                dtype=torch.float32,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # rejected below, with names
            )
    except Exception as error:  # the libraries raise various types for damaged or unsuitable checkpoints
        raise UserError(_unusable(name, str(error).strip().split("\n")[0])) from error
    pools = not found["missing_keys"]
    found["missing_keys"] = [key for key in found["missing_keys"] if "pooler" not in key]
    if wrong := incomplete(network, found) or unusable(network):
        raise UserError(_unusable(name, wrong))
    if "pixel_values" not in signature(network.forward).parameters:
        raise UserError(_unusable(name, f"{type(network).__name__} takes no images"))
    spec = read_spec(source, network.config, revision or None)
    return Encoder(network.to(device).eval(), spec, pools=pools)


def _unusable(name: str, reason: str) -> str:
    return (
        f"model '{name}' cannot be used to measure fidelity ({reason}). Expected a Hugging Face id, optionally @revision, "
        "or a folder with an image model in safetensors, such as facebook/dinov2-small. Check audit.fidelity_model and the "
        "network, or leave it empty to use the Teacher."
    )
