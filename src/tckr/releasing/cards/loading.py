"""Code examples that load each part of a release."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from markupsafe import Markup

from tckr.releasing.facts import Facts
from tckr.releasing.names import FormatName, Part

HERE = "path/to/this/folder"

IMAGES: Mapping[FormatName, str] = MappingProxyType(
    {
        "parquet": 'from datasets import load_dataset\nimages = load_dataset("{place}", split="train")\n'
        'images[0]["image"], images[0]["label"]',
        "imagefolder": 'from datasets import load_dataset\nimages = load_dataset("{place}", split="train")\n'
        'images[0]["image"], images[0]["label"]',
        "webdataset": "from webdataset import WebDataset\n"
        'images = WebDataset("data/train-00000-of-00001.tar", shardshuffle=False).decode("pil")\n'
        'first = next(iter(images))  # first["png"], first["cls"], first["json"]',
    }
)
TABLE = 'import pandas  # or polars\ntable = pandas.read_parquet("data")\ntable["label"].value_counts()'
STUDENT = (
    "from transformers import pipeline\n"
    'classify = pipeline("image-classification", model="{place}")\nclassify("picture.png")'
)
ADAPTER = (
    "from diffusers import DiffusionPipeline\n"
    'drawing = DiffusionPipeline.from_pretrained("{base}")\ndrawing.load_lora_weights("{place}")'
)
FILES: Mapping[Part, str] = MappingProxyType(
    {
        "student": "`student/`: weights (safetensors) and configuration, with a card of its own",
        "adapter": "`adapter/`: weights (safetensors), with a card of its own",
        "report": "`report/report.html` for people, `report/report.json` for programs",
    }
)
IMAGE_FILES: Mapping[FormatName, str] = MappingProxyType(
    {
        "parquet": "`data/*.parquet`",
        "imagefolder": "`train/CLASS/*.png`, `train/metadata.csv`",
        "webdataset": "`data/*.tar`",
    }
)


def parts_of(facts: Facts) -> list[tuple[str, str]]:
    """Return each part of a release with a description of its files."""
    images = "images and soft labels" if "labels" in facts.request.what else "images"
    first = [(images, IMAGE_FILES[facts.request.form])] if "images" in facts.request.what else []
    return [*first, *((part, FILES[part]) for part in facts.request.what if part in FILES)]


def loading_of(facts: Facts) -> list[tuple[str, Markup]]:
    """Return heading and code for each part of a release."""
    what, form = facts.request.what, facts.request.form
    found = []
    if "images" in what:
        found.append(("Images:", Markup(IMAGES[form].format(place=facts.request.hub_name or HERE))))
    if "images" in what and form == "parquet":
        found.append(("The same as a table, with encoded pictures:", Markup(TABLE)))
    if "student" in what:
        found.append(("Student:", student_code(facts)))
    if "adapter" in what:
        found.append(("Adapter:", adapter_code(facts)))
    return found


def student_code(facts: Facts) -> Markup:
    """Return how to load the Student."""
    return Markup(STUDENT.format(place=facts.request.hub_name or f"{HERE}/student"))


def adapter_code(facts: Facts) -> Markup:
    """Return how to load the adapter."""
    base = facts.generator.name if facts.generator.on_hub else "path/to/the/model"
    return Markup(ADAPTER.format(place=f"{HERE}/adapter", base=base))
