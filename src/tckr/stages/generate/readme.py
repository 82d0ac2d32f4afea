"""The data card of the folder, which `datasets` opens by its layout `data/train-*.parquet`.

It names no `configs:`: with them `datasets` keys its cache by the folder's last name and these equal lines, and would give
one run's images for every other run's.
"""

from __future__ import annotations

TEMPLATE = """---
task_categories:
- image-classification
tags:
- synthetic
- tckr
---
# Synthetic image set

{num_images} images of {num_classes} classes, {image_size} x {image_size} px, drawn by a text-to-image model that was
adapted to a private image set (TCKR). Classes are balanced. **Private as it lies here**: prompts hold captions of private
images, seeds tell which images were drawn anew, and the images may resemble private ones. Before a release, read the audit
and drop the columns `prompt` and `seed`; `manifest.json` and `plan.json` stay private.

| column | meaning |
|---|---|
| image | PNG, RGB |
| label | class |
| prompt | text the image was drawn from; holds the caption of a private image |
| seed | seed of the image's noise |
| index | number of the image in the set |

Open it with `datasets.load_dataset("path/to/this/folder")`.
"""


def data_card(num_images: int, num_classes: int, image_size: int) -> str:
    """Return README.md with the YAML header that `datasets` reads; user text such as class names stays out of it."""
    return TEMPLATE.format(num_images=num_images, num_classes=num_classes, image_size=image_size)
