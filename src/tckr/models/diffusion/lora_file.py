"""Read the LoRA matrices of a safetensors file by name, each with its scale."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from tckr.errors import UserError, shown
from tckr.models.diffusion.peft_settings import Scaling, settings_beside, settings_within

FILE_NAME = "pytorch_lora_weights.safetensors"
WHERE = "Expected the LoRA safetensors file of a model with the same architecture, or a folder that contains one"

MATRIX = re.compile(
    r"(?P<name>.+?)(?:\.lora_(?P<letter>[AB])(?:\.(?P<adapter>[^.]+))?\.weight"  # peft, with and without its adapter's name
    r"|\.lora_(?P<kohya>down|up)\.weight"
    r"|(?:[._]lora|\.lora_linear_layer|(?<=_lora[12]))\.(?P<old>down|up)\.weight)"  # diffusers, processors, XLabs
)
ALPHA = re.compile(r"(?P<name>.+?)(?:[._]lora|\.lora_linear_layer)?\.alpha")
FIRST = {"A", "down"}
FLOATS = {torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2}
OTHER_KINDS = {
    "dora_scale": "DoRA",
    "lora_magnitude_vector": "DoRA",
    "hada_": "LoHa",
    "lokr_": "LoKr",
    "oft_": "OFT",
    "lora_mid": "LoCon with a third matrix",
    "lora_embedding_": "LoRA of embeddings",
    ".diff": "complete differences of weights",
    "bundle_emb": "text embeddings",
    ".bias": "biases",
    "norm": "weights of norms",
}


@dataclass(frozen=True)
class Matrices:
    """One LoRA of a file: the change of its layer is scale x up x down.

    Attributes:
        down: float32 [rank, inputs, ...].
        up: float32 [outputs, rank, ...].
        scale: alpha / rank, or another value from the file.
    """

    down: torch.Tensor
    up: torch.Tensor
    scale: float


def find_file(path: Path) -> Path:
    """Return the safetensors file at `path`, or the one in the folder `path`.

    Raises:
        UserError: there is none, or there are several and none has the usual name.
    """
    if path.is_dir():
        files = sorted(path.glob("*.safetensors"))
        usual = [file for file in files if file.name == FILE_NAME]
        if len(usual or files) == 1:
            return (usual or files)[0]
        raise UserError(
            f"adapter folder {path} contains {len(files)} .safetensors files but no {FILE_NAME}; give the path of the file"
        )
    if path.suffix != ".safetensors" or not path.is_file():
        found = "is not a .safetensors file (no other format is read)" if path.exists() else "does not exist"
        raise UserError(f"adapter {path} {found}. {WHERE}")
    return path


def read_matrices(file: Path) -> dict[str, Matrices]:
    """Return name of a layer in the file -> its LoRA. Every tensor of the file must be part of one.

    Raises:
        UserError: the file cannot be read, is of another kind, or contains other tensors; the message names them.
    """
    try:
        with safe_open(file, "pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no dictionary
            within = settings_within(file, opened.metadata() or {})
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise UserError(f"adapter {file} cannot be read: {_reason(file, error)}. {WHERE}") from error
    scaling = Scaling.of(file, settings_beside(file, tensors) or within)
    _refuse_other_kinds(file, tensors)
    _refuse_no_numbers(file, tensors)
    pairs, alphas = _sorted(file, tensors)
    return {name: _matrices(file, name, pair, alphas.get(name), scaling) for name, pair in pairs.items()}


def _reason(file: Path, error: Exception) -> str:
    with file.open("rb") as opened:
        if opened.read(24).startswith(b"version https://git-lfs"):
            return "it is a pointer of Git LFS, not the file itself; download it with `git lfs pull` or download it again"
    return " ".join(str(error).split())[:200]


def _refuse_other_kinds(file: Path, names: Iterable[str]) -> None:
    """Raise a UserError if a tensor is not a LoRA matrix or its alpha, because ignoring it would change the adapter."""
    names = list(names)
    strange = [name for name in names if not MATRIX.fullmatch(name) and not ALPHA.fullmatch(name)]
    kinds = [(kind, name) for name in strange for part, kind in OTHER_KINDS.items() if part in name]
    if kinds:
        kind, example = kinds[0]
        raise UserError(
            f"adapter {file} has {len(names)} tensors, of which {len(strange)} are not LoRA; {shown(example)} is {kind}, "
            f"which cannot be applied, and ignoring it would change the adapter. {WHERE}"
        )
    if len(strange) == len(names):
        raise UserError(f"adapter {file} has {len(names)} tensors, none of them LoRA. {WHERE}")
    if strange:
        raise UserError(
            f"adapter {file} has {len(names)} tensors, of which {len(strange)} are not LoRA, such as {shown(strange[0])}; "
            f"a part of an adapter cannot be applied. {WHERE}"
        )


def _refuse_no_numbers(file: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    for name, tensor in tensors.items():
        if tensor.dtype not in FLOATS and (not name.endswith("alpha") or tensor.dtype.is_complex):
            raise UserError(
                f"adapter {file} has {shown(name)} in {tensor.dtype}; expected a floating type of 8 to 64 bits. {WHERE}"
            )
        if not tensor.float().isfinite().all():
            raise UserError(
                f"adapter {file} is broken: {shown(name)} contains values that are not finite (NaN or infinity); generated "
                "images would be black. Use another checkpoint of its training, or download it again"
            )


def _sorted(file: Path, tensors: Mapping[str, torch.Tensor]) -> tuple[dict[str, dict[str, torch.Tensor]], dict[str, float]]:
    """Return name -> its two matrices, "down" and "up", and name -> alpha."""
    pairs: dict[str, dict[str, torch.Tensor]] = {}
    alphas, adapters = {}, set()
    for key, tensor in tensors.items():
        if found := MATRIX.fullmatch(key):
            which = "down" if (found["letter"] or found["kohya"] or found["old"]) in FIRST else "up"
            adapters.add(found["adapter"])
            twice = which in pairs.setdefault(found["name"], {})
            pairs[found["name"]][which] = tensor.float()
        else:
            name = ALPHA.fullmatch(key)
            assert name
            if tensor.numel() != 1:
                raise UserError(f"adapter {file}: {shown(key)} has {tensor.numel()} numbers; expected one. {WHERE}")
            twice = name["name"] in alphas
            alphas[name["name"]] = float(tensor)
        if twice and len(adapters) < 2:
            raise UserError(f"adapter {file} contains {shown(key)} twice, under different names; save it once. {WHERE}")
    if len(adapters) > 1:
        raise UserError(f"adapter {file} contains several adapters: {sorted(map(str, adapters))}; save only the one to use")
    single = [name for name, pair in pairs.items() if len(pair) < 2] + [name for name in alphas if name not in pairs]
    if single:
        raise UserError(
            f"adapter {file} is incomplete: {len(single)} of its layers lack a matrix, such as {shown(single[0])}; download "
            "or save it again"
        )
    return pairs, alphas


def _matrices(
    file: Path, name: str, pair: Mapping[str, torch.Tensor], alpha: float | None, scaling: Scaling | None
) -> Matrices:
    down, up = pair["down"], pair["up"]
    if min(down.ndim, up.ndim) < 2 or up.shape[1] != len(down) or math.prod(up.shape[2:]) != 1:
        shapes = f"{tuple(up.shape)} and {tuple(down.shape)}"
        raise UserError(f"adapter {file} is inconsistent: the matrices of {shown(name)} are {shapes}. {WHERE}")
    if not len(down):
        raise UserError(f"adapter {file}: the matrices of {shown(name)} have rank 0, so they change nothing. {WHERE}")
    if alpha is not None and scaling is not None:
        raise UserError(f"adapter {file} states alpha twice, as tensors and in its settings; remove one of them. {WHERE}")
    scale = 1.0 if alpha is None else alpha / len(down)
    return Matrices(down, up, scale if scaling is None else scaling.scale(name, len(down)))
