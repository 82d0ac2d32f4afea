"""`manifest.json`: what the engine says of a complete artifact; only what stages read of it."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import ConfigDict, Field

from tckr.artifacts.document import Document


class Manifest(Document):
    """How an artifact was made.

    Attributes:
        stage: that made it.
        sensitivity: who may have it.
        seconds: that it took, over all interruptions.
        peak_memory_mb: of the process that computed it.
        created: time at which it was complete.
        fingerprint: of its step.
        version: of the stage's meaning.
        config: the stage's settings.
        files: name -> bytes.
        libraries: name -> version.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)
    file_name: ClassVar[str] = "manifest.json"

    stage: str
    sensitivity: str
    seconds: float
    peak_memory_mb: float
    created: str
    fingerprint: str
    version: int
    config: dict[str, Any]
    files: dict[str, int]
    libraries: dict[str, str] = Field(default_factory=dict)

    @property
    def num_bytes(self) -> int:
        """Return the size of the artifact."""
        return sum(self.files.values())
