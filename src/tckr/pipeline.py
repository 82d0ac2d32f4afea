"""The map: the nine steps and what flows between them.

    prepare -> caption -> adapt -> generate -+
          \\-> teach -------------------------+-> label -> distill -> audit -> report

A reference run is `recycle` with another row of the membership matrix; how much of it is repeated is the audit's depth.
`distill` has no input from `prepare`: the Student never sees a private image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from tckr.config import RunConfig
from tckr.data.seeds import derive_seed
from tckr.data.sources import source_digest
from tckr.engine.step import Sensitivity, Step
from tckr.errors import UserError
from tckr.models.digest import checkpoint_digest
from tckr.stages.config_base import StageConfig
from tckr.stages.prepare.config import PrepareConfig

SENSITIVITY = {
    "prepare": Sensitivity.PRIVATE,
    "caption": Sensitivity.PRIVATE,
    "adapt": Sensitivity.PRIVATE,
    "generate": Sensitivity.RELEASABLE,
    "teach": Sensitivity.PRIVATE,
    "label": Sensitivity.RELEASABLE,
    "distill": Sensitivity.RELEASABLE,
    "audit": Sensitivity.PRIVATE,
    "report": Sensitivity.SHAREABLE,
}
STAGES = tuple(SENSITIVITY)
MIN_REFERENCE_RUNS = 2
"""With fewer the audit measures no membership, so none is trained."""
NOTHING: Mapping[str, Step] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Recycled:
    """One run of the pipeline from captions to Student."""

    captions: Step
    adapter: Step
    synthetic: Step
    teacher: Step
    labels: Step
    student: Step


def pipeline(config: RunConfig) -> list[Step]:
    """Return all steps of a run, inputs before what reads them."""
    data = _step("prepare", config.prepare, config.seed)
    target = recycle(config, data, run=0)
    references = [recycle(config, data, run=run, generator_of=target) for run in _reference_rows(config)]
    null = _control("null", config.teach.null_control(), config.seed, data)
    positive = _control("positive", config.teach.memorizing(), config.seed, data)
    audited = [target, *references]
    students = audited if config.audit.depth != "teacher" else [target]
    scored = {f"teacher.{run}": recycled.teacher for run, recycled in enumerate(audited)}
    scored |= {f"student.{run}": recycled.student for run, recycled in enumerate(students)}
    controls = {"control.null": null, "control.positive": positive} if references else {}
    audit = _step("audit", config.audit, config.seed, inputs={"data": data, **scored, **controls})
    report = _step("report", config.report, config.seed, inputs={"data": data, **vars(target), "audit": audit})
    retrained = [recycled.teacher for recycled in references] + list(controls.values())
    labelled = [recycled.labels for recycled in students[1:]]
    distilled = [recycled.student for recycled in students[1:]]
    return [data, *vars(target).values(), *retrained, *labelled, *distilled, audit, report]


def recycle(config: RunConfig, data: Step, *, run: int, generator_of: Recycled | None = None) -> Recycled:
    """Return the steps of one run on row `run` of the membership matrix.

    With `generator_of`, that run's captions, adapter and synthetic images are shared (audit depths `teacher` and `distill`).
    """
    seed = derive_seed(config.seed, "run", run) if run else config.seed
    if generator_of:
        captions, adapter, synthetic = generator_of.captions, generator_of.adapter, generator_of.synthetic
    else:
        captions = _step("caption", config.caption, seed, run, {"data": data})
        adapter = _step("adapt", config.adapt, seed, run, {"data": data, "captions": captions})
        synthetic = _step("generate", config.generate, seed, run, {"captions": captions, "adapter": adapter})
    teacher = _step("teach", config.teach, seed, run, {"data": data})
    labels = _step("label", config.label, seed, run, {"synthetic": synthetic, "teacher": teacher})
    online = {"teacher": teacher} if config.distill.labels == "online" else {}
    student = _step("distill", config.distill, seed, run, {"synthetic": synthetic, "labels": labels, **online})
    return Recycled(captions=captions, adapter=adapter, synthetic=synthetic, teacher=teacher, labels=labels, student=student)


def needed_for(steps: Sequence[Step], stage: str) -> list[Step]:
    """Return, in order, the target run's step of `stage` and all it depends on.

    Raises:
        UserError: there is no such stage.
    """
    if stage not in STAGES:
        raise UserError(f"unknown stage {stage!r}; expected one of {', '.join(STAGES)}")
    wanted = next(step for step in steps if step.stage == stage and step.run == 0)
    needed = {wanted.name}
    for step in reversed(steps):
        if step.name in needed:
            needed |= {source.name for source in step.inputs.values()}
    return [step for step in steps if step.name in needed]


def _reference_rows(config: RunConfig) -> range:
    measured = config.prepare.audit_holdout > 0 and config.prepare.num_reference_runs >= MIN_REFERENCE_RUNS
    return range(1, config.prepare.num_reference_runs + 1) if measured else range(0)


def _control(name: str, config: StageConfig, root_seed: int, data: Step) -> Step:
    return _step("teach", config, derive_seed(root_seed, "control", name), inputs={"data": data}, name=f"teach.{name}")


def _step(
    stage: str, config: StageConfig, seed: int, run: int = 0, inputs: Mapping[str, Step] = NOTHING, *, name: str = ""
) -> Step:
    return Step(
        name=name or (f"{stage}.{run}" if run else stage),
        stage=stage,
        function=f"tckr.stages.{stage}.stage:run",
        version=config.version,
        sensitivity=SENSITIVITY[stage],
        config=config,
        seed=seed,
        run=run,
        inputs=dict(inputs),  # a step travels to another process; a read-only mapping cannot
        reads=_reads(config),
    )


def _reads(config: StageConfig) -> dict[str, str]:
    """Return the digest of what a stage reads from outside the store."""
    if isinstance(config, PrepareConfig):
        return {"source": source_digest(config)}
    model = getattr(config, "model", None)
    return {"model": checkpoint_digest(model)} if model else {}
