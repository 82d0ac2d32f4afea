"""Names that commands and code share: parts of a release, and layouts of its images."""

from __future__ import annotations

from typing import Literal

Part = Literal["images", "labels", "student", "adapter", "report"]
FormatName = Literal["parquet", "imagefolder", "webdataset"]
