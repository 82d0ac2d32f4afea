"""`manifest.json`: the engine's description of a complete artifact, as far as stages read it."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import ConfigDict, Field

from tckr.artifacts.document import Document


class Manifest(Document):
    """How an artifact was computed.

    Attributes:
        stage: the stage that computed it.
        sensitivity: who may see it.
        seconds: computing time, over all interruptions.
        peak_memory_mb: peak memory of the process that computed it.
        created: time at which it was complete.
        fingerprint: identity of its step.
        version: version of the stage.
        config: the stage's settings.
        files: name -> size in bytes.
        libraries: name -> version.
        computed_on: device, threads and machine.
        became: what settings such as `auto` became, and sizes that fit the machine.
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
    computed_on: dict[str, Any] = Field(default_factory=dict)
    became: dict[str, Any] = Field(default_factory=dict)

    @property
    def num_bytes(self) -> int:
        """Return the size of the artifact."""
        return sum(self.files.values())
