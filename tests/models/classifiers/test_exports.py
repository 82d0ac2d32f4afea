"""A Student that the stage wrote is the same model elsewhere: in the pipeline of transformers, in timm and as ONNX.

ONNX and timm are in the environment of `.ci/libraries`.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from transformers import AutoImageProcessor, AutoModelForImageClassification, pipeline
from transformers.utils import is_timm_available

from tckr.data.images import encode_png
from tckr.data.shards import write_shard
from tckr.models.classifiers import load_classifier, predict_logits
from tckr.stages.distill.config import DistillConfig
from tckr.stages.distill.stage import run
from tests.tiny_artifacts import make_context
from tests.training.colours import write_labels

NAMES = [f"digit {number}" for number in range(10)]
NUM_TRAIN, NUM_TEST = 800, 300


def digits(rows: slice) -> tuple[np.ndarray, np.ndarray]:
    """Return uint8 [N, 32, 32, 3] and labels of scikit-learn's handwritten digits."""
    data = load_digits()
    pixels = np.kron(data.images[rows] * 15, np.ones((4, 4)))[..., None].repeat(3, axis=3)
    return pixels.astype(np.uint8), data.target[rows]


def distilled(folder: Path, model: str) -> Path:
    """Return the folder of the Student that the stage trained on digits, with the labels of a sure Teacher."""
    images, labels = digits(slice(NUM_TRAIN))
    index = np.arange(NUM_TRAIN)
    columns = {"image": [encode_png(image) for image in images], "label": labels, "index": index}
    write_shard(folder / "synthetic" / "data" / "train-00000-of-00001.parquet", columns, NAMES)
    write_labels(folder / "labels", 0.9 * np.eye(10)[labels] + 0.01, index, NAMES)
    context = make_context(folder, {"synthetic": folder / "synthetic", "labels": folder / "labels"})
    run(DistillConfig(model=model, epochs=8, image_size=32, learning_rate=3e-3), context)
    return context.out / "model"


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return distilled(tmp_path_factory.mktemp("student"), "embedded:resnet")


def assert_same_model(folder: Path, logits: np.ndarray, atol: float = 1e-4) -> None:
    """Compare another library's logits of the test digits with ours, and their accuracies."""
    images, labels = digits(slice(-NUM_TEST, None))
    ours = predict_logits(load_classifier(folder), images, batch_size=100)
    accuracy = float((ours.argmax(axis=1) == labels).mean())
    assert accuracy > 0.85
    assert float((logits.argmax(axis=1) == labels).mean()) == accuracy
    np.testing.assert_allclose(logits, ours, atol=atol, rtol=1e-3)


def test_the_pipeline_of_transformers_gives_the_same_accuracy(student: Path) -> None:
    images, _ = digits(slice(-NUM_TEST, None))
    classify = pipeline("image-classification", model=str(student), top_k=len(NAMES), device="cpu")
    answers = classify([Image.fromarray(image) for image in images], function_to_apply="none")
    scores = [{answer["label"]: answer["score"] for answer in answer_of_one} for answer_of_one in answers]
    assert_same_model(student, np.array([[found[name] for name in NAMES] for found in scores]))


class Logits(torch.nn.Module):
    """A network of transformers that answers with the logits alone."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.network(pixel_values=pixel_values).logits


@pytest.mark.skipif(not (find_spec("onnxruntime") and find_spec("onnxscript")), reason=".ci/libraries has ONNX")
@pytest.mark.filterwarnings("ignore")
def test_onnx_gives_the_same_accuracy(student: Path, tmp_path: Path) -> None:
    """The network and its preprocessing are those that transformers reads in the folder, without any code of TCKR."""
    import onnxruntime

    images, _ = digits(slice(-NUM_TEST, None))
    network = Logits(AutoModelForImageClassification.from_pretrained(student)).eval()
    pixels = AutoImageProcessor.from_pretrained(student)([Image.fromarray(image) for image in images], return_tensors="pt")
    example = (pixels["pixel_values"][:2],)
    file = str(tmp_path / "student.onnx")
    torch.onnx.export(network, example, file, dynamic_shapes=({0: "batch"},), dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {session.get_inputs()[0].name: pixels["pixel_values"].numpy()})
    assert_same_model(student, logits)


@pytest.mark.skipif(not is_timm_available(), reason=".ci/libraries has timm")
@pytest.mark.filterwarnings("ignore")
def test_a_student_of_timm_gives_the_same_accuracy_in_timm(tmp_path: Path) -> None:
    import timm
    from timm.models import save_for_hf

    torch.manual_seed(0)
    save_for_hf(timm.create_model("test_resnet.r160_in1k", num_classes=5), tmp_path / "timm", safe_serialization=True)
    folder = distilled(tmp_path, str(tmp_path / "timm"))
    network = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network), is_training=False)
    images, _ = digits(slice(-NUM_TEST, None))
    with torch.inference_mode():
        logits = network(torch.stack([transform(Image.fromarray(image)) for image in images])).numpy()
    assert_same_model(folder, logits)
