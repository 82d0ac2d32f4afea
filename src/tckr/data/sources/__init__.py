"""Sources of labelled images: a folder, Parquet files, a Hugging Face data set, or scikit-learn's digits.

Importing this package does not load torch, numpy or Pillow, because `source_digest` is needed before anything runs.
"""

from tckr.data.sources.digests import file_digest, source_digest
from tckr.data.sources.kinds import SourceKind, is_hub_name, source_kind

__all__ = ["SourceKind", "file_digest", "is_hub_name", "source_digest", "source_kind"]
