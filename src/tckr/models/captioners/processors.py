"""Load the processor of a captioner without torchvision: image processors of PIL, and no video processor."""

from __future__ import annotations

from typing import Any

from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
from transformers.video_processing_utils import VideoProcessorMixin


class ImagesOnly(VideoProcessorMixin):
    """Stand where a processor wants a video processor: those need torchvision, and images never reach them."""

    model_input_names = ()

    def __init__(self) -> None:
        """Hold nothing."""


def load_processor(source: str, config: Any, revision: str | None) -> Any:
    """Return the processor of the checkpoint `source` (folder or hub id), whose model has the transformers `config`."""
    access = {"revision": revision, "trust_remote_code": False}
    family = PROCESSOR_MAPPING.get(type(config), None)
    if family is None or "video_processor" not in family.get_attributes():
        return AutoProcessor.from_pretrained(source, backend="pil", **access)
    parts = {
        "tokenizer": AutoTokenizer.from_pretrained(source, **access),
        "image_processor": AutoImageProcessor.from_pretrained(source, backend="pil", **access),
        "video_processor": ImagesOnly(),
    }
    settings, _ = family.get_processor_dict(source, revision=revision)
    return family.from_args_and_dict([parts[name] for name in family.get_attributes()], settings)
