"""A finished run as Python objects: numbers with their intervals, the synthetic set, folders of models, the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tckr.artifacts.audit import AuditResult, State, SurfaceResult
from tckr.artifacts.training import MODEL_FOLDER
from tckr.errors import UserError
from tckr.metrics.estimate import Estimate, Measured
from tckr.releasing.names import FormatName
from tckr.releasing.releasing import Release, release
from tckr.releasing.request import DEFAULT_PARTS

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True, kw_only=True)
class Model:
    """A classifier of a run and what the audit found about it.

    Attributes:
        folder: opens with `transformers.pipeline("image-classification", model=folder)`.
        audited: its part of the audit.
    """

    folder: Path
    audited: SurfaceResult

    @property
    def accuracy(self) -> Estimate:
        """Return the accuracy on the locked test split, with its interval: `.value`, `.low`, `.high`, or `float(...)`."""
        return _number(self.audited.cas)

    @property
    def balanced_accuracy(self) -> Estimate:
        """Return the mean over classes of the accuracy on each."""
        return _number(self.audited.balanced_cas)

    @property
    def accuracy_by_class(self) -> dict[str, Estimate]:
        """Return class name -> accuracy on its test images; a class without any is left out."""
        return {name: found for name, found in self.audited.per_class.items() if isinstance(found, Estimate)}

    @property
    def membership_auc(self) -> Estimate:
        """Return the AUC of the declared attack; 0.5 is guessing.

        Raises:
            UserError: membership was not measured.
        """
        return _number(self.audited.headline)


@dataclass(frozen=True, kw_only=True)
class Result:
    """A run.

    Attributes:
        folder: of the run.
        artifacts: folder of each computed step by name.
    """

    folder: Path
    artifacts: Mapping[str, Path]

    @property
    def audit(self) -> AuditResult:
        """Return everything that the audit found."""
        return AuditResult.read(self._of("audit"))

    @property
    def student(self) -> Model:
        """Return the Student: trained on synthetic images alone."""
        return self._model("student", "distill")

    @property
    def teacher(self) -> Model:
        """Return the Teacher: trained on the private images, and private."""
        return self._model("teacher", "teach")

    @property
    def leakage(self) -> dict[str, State]:
        """Return surface -> what the audit found: `leaks`, `no measurable leakage` or `not measured`."""
        return {name: surface.state for name, surface in self.audit.surfaces.items()}

    @property
    def synthetic(self) -> Dataset:
        """Return the synthetic set in memory: image, label, index and, once labelled, soft_label. It holds no prompt.

        A set that does not fit into memory is opened with `datasets.load_dataset(str(result.artifacts["generate"]))`.
        """
        from tckr.api.synthetic import synthetic_dataset

        return synthetic_dataset(self._of("generate"), self.artifacts.get("label"))

    @property
    def report(self) -> Path:
        """Return the page of the report."""
        self._of("report")
        return self.folder / "report" / "report.html"

    def release(
        self,
        to: Path | str,
        *,
        license: str,
        what: Sequence[str] = DEFAULT_PARTS,
        format: FormatName = "parquet",
        accept_risk: str = "",
        by: str = "",
    ) -> Release:
        """Release parts of the run as the new folder `to`; `tckr.release` has all options and says what is raised."""
        return release(self.folder, to=to, license=license, what=what, format=format, accept_risk=accept_risk, by=by)

    def _model(self, surface: str, stage: str) -> Model:
        return Model(folder=self._of(stage) / MODEL_FOLDER, audited=self.audit.surfaces[surface])

    def _of(self, stage: str) -> Path:
        if stage not in self.artifacts:
            raise UserError(f"{self.folder} has no artifact of `{stage}` for these settings; compute it with until='report'")
        return self.artifacts[stage]


def _number(found: Measured | None) -> Estimate:
    if isinstance(found, Estimate):
        return found
    raise UserError(f"this number was not measured{f': {found.reason}' if found else ''}; result.audit says what was")
