"""Load the processor of a captioner without torchvision: image processors of PIL, and no video processor."""

from __future__ import annotations

from typing import Any

from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer, ProcessorMixin
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

VIDEO = "video_processor"


def load_processor(source: str, config: Any, revision: str | None) -> Any:
    """Return the processor of the checkpoint `source` (folder or hub id), whose model has the transformers `config`.

    Video processors need torchvision but are not used for images, so a processor that requires one gets None.
    """
    access = {"revision": revision, "trust_remote_code": False}
    family = PROCESSOR_MAPPING.get(type(config), None)
    if family is None or VIDEO not in family.get_attributes():
        return AutoProcessor.from_pretrained(source, backend="pil", **access)
    parts = {
        "tokenizer": AutoTokenizer.from_pretrained(source, **access),
        "image_processor": AutoImageProcessor.from_pretrained(source, backend="pil", **access),
        VIDEO: None,
    }
    settings, _ = family.get_processor_dict(source, revision=revision)
    return images_only(family).from_args_and_dict([parts[name] for name in family.get_attributes()], settings)


def images_only(family: type[ProcessorMixin]) -> type[ProcessorMixin]:
    """Return the processor class `family`, changed to accept None as its video processor."""

    class ImagesOnly(family):  # type: ignore[valid-type, misc]
        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
            if argument_name != VIDEO:
                super().check_argument_for_proper_class(argument_name, argument)

    return ImagesOnly
