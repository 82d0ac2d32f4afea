"""A finished run as Python objects: numbers with intervals, the synthetic set, folders of models, the report."""

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
    """A classifier of a run, with its audit results.

    Attributes:
        folder: folder of the model; `transformers.pipeline("image-classification", model=folder)` opens it.
        audited: all its results in the audit.
    """

    folder: Path
    audited: SurfaceResult

    @property
    def accuracy(self) -> Estimate:
        """Return the accuracy on the locked test split (CAS, Ravuri and Vinyals 2019), in [0, 1].

        The interval is Wilson's over test images: `.value`, `.low`, `.high`, or `float(...)` for the value alone.

        Raises:
            UserError: it was not measured.
        """
        return _number(self.audited.cas)

    @property
    def balanced_accuracy(self) -> Estimate:
        """Return the mean over classes of the accuracy on each class, in [0, 1]; interval of Zou and Donner (2008).

        Raises:
            UserError: it was not measured.
        """
        return _number(self.audited.balanced_cas)

    @property
    def accuracy_by_class(self) -> dict[str, Estimate]:
        """Return class name -> accuracy on its test images, in [0, 1]; classes without test images are left out."""
        return {name: found for name, found in self.audited.per_class.items() if isinstance(found, Estimate)}

    @property
    def membership_auc(self) -> Estimate:
        """Return the AUC of the declared membership attack, in [0, 1]; 0.5 is guessing.

        It is the mean over the target and all reference runs if there are enough runs for an interval, else the AUC on
        the target alone. docs/audit.md defines both.

        Raises:
            UserError: membership was not measured.
        """
        return _number(self.audited.headline)


@dataclass(frozen=True, kw_only=True)
class Result:
    """A finished run. Results of steps that were not computed raise a `UserError` that names the missing step.

    Attributes:
        folder: the run's folder.
        artifacts: name of each computed step -> folder of its artifact.
    """

    folder: Path
    artifacts: Mapping[str, Path]

    @property
    def audit(self) -> AuditResult:
        """Return all results of the audit, as in `audit.json`.

        Raises:
            UserError: the audit was not computed.
        """
        return AuditResult.read(self._of("audit"))

    @property
    def student(self) -> Model:
        """Return the Student, which was trained only on synthetic images.

        Raises:
            UserError: Student or audit were not computed.
        """
        return self._model("student", "distill")

    @property
    def teacher(self) -> Model:
        """Return the Teacher, which was trained on the private images and is private.

        Raises:
            UserError: Teacher or audit were not computed.
        """
        return self._model("teacher", "teach")

    @property
    def leakage(self) -> dict[str, State]:
        """Return surface -> state: `leaks`, `no measurable leakage` or `not measured`.

        Surfaces are `captions`, `adapter`, `images`, `soft_labels`, `teacher` and `student`.

        Raises:
            UserError: the audit was not computed.
        """
        return {name: surface.state for name, surface in self.audit.surfaces.items()}

    @property
    def synthetic(self) -> Dataset:
        """Return the N synthetic images in memory, in order of index. Prompts are not included.

        Columns: `image` (PIL, RGB, `prepare.image_size` px a side), `label` (ClassLabel of K classes), `index` (int64) and,
        once labelled, `soft_label` (K probabilities, float32; with `label.top_k` only the largest, and their classes in
        `soft_label_class`).

        Open a set that does not fit into memory with `datasets.load_dataset(str(result.artifacts["generate"]))`.

        Raises:
            UserError: no images were generated.
        """
        from tckr.api.synthetic import synthetic_dataset

        return synthetic_dataset(self._of("generate"), self.artifacts.get("label"))

    @property
    def report(self) -> Path:
        """Return the path of the page `report.html`.

        Raises:
            UserError: the report was not computed.
        """
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
        """Release parts of the run as the new folder `to`. See `tckr.release` for all options and errors."""
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
    raise UserError(
        f"this number was not measured{f': {found.reason}' if found else ''}; result.audit contains all measurements"
    )
