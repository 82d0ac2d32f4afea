"""The map: the nine steps of a run, their inputs, and the steps of the audit.

    prepare -> caption -> adapt -> generate -+
          \\-> teach -------------------------+-> label -> distill -> audit -> report

A reference run is `recycle` on another row of the membership matrix; the audit's depth decides how much of it is repeated.
Under a formal guarantee, images see private data through the noise of `adapt` alone, and labels through that of `votes` or
`dp_teacher`.
`distill` has no input from `prepare`, so the Student never sees a private image. The engine seals the test split as soon
as `prepare` is complete; only `audit`, which judges last, may open it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tckr.artifacts.data_card import DataCard
from tckr.artifacts.membership import EVERY_RECORD, VALIDATION_RUN, WITH_COINS
from tckr.config import RunConfig
from tckr.data.seeds import derive_seed, keyed_root
from tckr.data.sources import file_digest, source_digest
from tckr.engine.step import Role, Sensitivity, Step
from tckr.errors import UserError, shown
from tckr.membership.config import MIN_REFERENCE_RUNS
from tckr.models.diffusion.outline import refuse_misfits
from tckr.models.model_names import adapter_digest, checkpoint_digest
from tckr.stages.adapt.config import AdaptConfig
from tckr.stages.config_base import StageConfig
from tckr.stages.generate.config import GenerateConfig
from tckr.stages.prepare.config import PrepareConfig
from tckr.stages.teach.config import DpTeachConfig, TeachConfig, VotingConfig

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
READS: Mapping[str, Callable[[Any], str]] = {
    "model": checkpoint_digest,
    "fidelity_model": checkpoint_digest,
    "lora": adapter_digest,
    "few_step_adapter": adapter_digest,
    "file": file_digest,
}
"""Settings that name files outside the store -> function that computes a digest of their content."""

NOTHING: Mapping[str, Step] = MappingProxyType({})

ATTACKED = "0"
"""Name of the target as the audit attacks it."""


@dataclass(frozen=True, kw_only=True)
class Recycled:
    """The steps of one run, from captions to Student."""

    captions: Step
    adapter: Step
    synthetic: Step
    teacher: Step
    labels: Step
    student: Step


@dataclass(frozen=True, kw_only=True)
class Run:
    """Records to train on, settings and seed of one run; the names of its steps end with `name`."""

    config: RunConfig
    row: int
    seed: int
    role: Role = Role.CONTROL
    name: str


def pipeline(config: RunConfig, secret: bytes) -> list[Step]:
    """Return all steps of a run. Each step comes after its inputs, the target's steps come first.

    Splits, membership and canaries derive from one root seed, all training and sampling from another. Both depend on the
    `secret` of the store, so nobody else can compute them, and neither reveals the other. Only for a public set, both are
    `config.seed`.

    Raises:
        UserError: files named in settings do not exist, or the generator does not support the settings.
    """
    _refuse_misfits(config)
    data = _step("prepare", config.prepare, _target(_rooted(config, secret, "prepare")), seals=("test",))
    config = _rooted(config, secret, "run")
    target = recycle(_target(config), data)
    audit = _audit(config, data, target)
    reported = {"data": data, **vars(target), "audit": audit, **_labelling(target)}
    report = _step("report", config.report, _target(config), reported)
    return [_checking(step, data) for step in _all_for(report, set())]


def _labelling(target: Recycled) -> dict[str, Step]:
    """Return the step whose Teachers label under a guarantee, if there is one."""
    own = [step for step in target.labels.inputs.values() if step.stage == "teach" and step.name != target.teacher.name]
    return {"labelling": own[0]} if own else {}


def _checking(step: Step, data: Step) -> Step:
    """Return `step` so that the run asks it about the prepared set before anything else is computed from that."""
    if not isinstance(step.config, AdaptConfig | GenerateConfig | DpTeachConfig):
        return step
    if isinstance(step.config, DpTeachConfig) and step.role is not Role.TARGET:
        return step  # the network is the target's, and a check of a large one takes minutes
    return replace(step, checks={data.fingerprint: partial(_refuse_data, step.config)})


def _refuse_data(config: AdaptConfig | GenerateConfig | DpTeachConfig, folder: Path) -> None:
    config.refuse_data(DataCard.read(folder))


def _rooted(config: RunConfig, secret: bytes, label: str) -> RunConfig:
    """Return the settings with the root seed for the purpose `label`.

    The noise of a formal guarantee stays secret even for a public set, because its seed would allow to subtract it.
    """
    in_the_open = config.prepare.is_public and not (label == "run" and config.privacy.is_on)
    root = config.seed if in_the_open else keyed_root(secret, label, config.seed)
    return config.model_copy(update={"seed": root})


def _refuse_misfits(config: RunConfig) -> None:
    """Raise an error now for settings that adaptation or generation would otherwise reject after hours."""
    trains = config.adapt.steps != 0 and config.adapt.lora is None
    schedule = config.generate.schedule(config.adapt.model)
    refuse_misfits(
        config.adapt.model,
        config.adapt.revision,
        min_snr_gamma=config.adapt.min_snr_gamma if trains else None,
        solver=schedule.solver,
        spacing=schedule.spacing,
        guidance_interval=config.generate.guidance_interval,
    )


def recycle(run: Run, data: Step, known: Mapping[str, Step] = NOTHING) -> Recycled:
    """Return the steps of one run; steps in `known` are shared with another run (the audit's depth)."""
    config = run.config
    captions = known.get("captions") or _captions(run, data)
    adapter = known.get("adapter") or _step("adapt", config.adapting(), run, {"data": data, "captions": captions})
    teacher = _step("teach", config.teach, run, {"data": data})
    judging = {"teacher": teacher} if config.generate.redraw_disowned else {}
    if config.generate.redraw_copies:
        judging |= {"data": data, "features": _trained_on_none(config, data)}
    drawn_from = {"captions": captions, "adapter": adapter, **judging}
    if config.privacy.is_on:
        drawn_from.pop("captions")  # images may depend only on the adapter
    synthetic = known.get("synthetic") or _step("generate", config.generate, run, drawn_from)
    if config.privacy.is_on and not config.privacy.has_teacher:
        voted = {"voted": _voted(run, data, adapter, synthetic)} if config.privacy.takes_votes else {}
        labels = _step("label", config.label, run, {"synthetic": synthetic, **voted}, function="run_of_prompts")
    else:
        labelling = _dp_teacher(run, data, adapter, synthetic) if config.privacy.has_teacher else teacher
        labels = _step("label", config.label, run, {"synthetic": synthetic, "teacher": labelling})
    online = {"teacher": teacher} if config.distill.labels == "online" else {}
    student = _step("distill", config.distill, run, {"synthetic": synthetic, "labels": labels, **online})
    return Recycled(captions=captions, adapter=adapter, synthetic=synthetic, teacher=teacher, labels=labels, student=student)


def _voted(run: Run, data: Step, adapter: Step, synthetic: Step) -> Step:
    """Return the step whose Teachers vote on synthetic images; the adapter's guarantee states the noise on their votes."""
    inputs = {"data": data, "adapter": adapter, "synthetic": synthetic}
    name = f"votes.{run.name}" if run.name else "votes"
    return _step("teach", VotingConfig.of(run.config.teach), run, inputs, name=name, function="run_of_votes")


def _dp_teacher(run: Run, data: Step, adapter: Step, synthetic: Step) -> Step:
    """Return the step that trains the Teacher that labels under a guarantee; that of the adapter states its noise."""
    inputs = {"data": data, "adapter": adapter, "synthetic": synthetic}
    name = f"dp_teacher.{run.name}" if run.name else "dp_teacher"
    return _step("teach", DpTeachConfig.of(run.config.teach), run, inputs, name=name, function="run_of_dp_teacher")


def _captions(run: Run, data: Step) -> Step:
    """Return the step that captions the records of `run`, or takes their class names if no prompt contains a caption."""
    function = "run_of_class_names" if run.config.privacy.is_on else "run"
    return _step("caption", run.config.captioning(), run, {"data": data}, function=function)


def _audit(config: RunConfig, data: Step, target: Recycled) -> Step:
    """Return the step that judges. Its inputs are the steps that query the compared runs about every record, or, without
    reference runs, the target about its canaries.

    A reference run is `recycle` on another row of the membership matrix; the controls are `recycle` too. The controls come
    first, because one of them trains longest.
    """
    judged = {"data": data, "teacher": target.teacher, "student": target.student, "synthetic": target.synthetic}
    if config.audit.images_alone and config.distill.labels != "hard":
        judged["images_alone"] = _images_alone(config, target)
    if config.privacy.is_on:
        judged["adapter"] = target.adapter  # its card states the guarantee that canaries try to refute
    references = _reference_runs(config)
    common = {"data": data, "captions": _captions_of_attacked(config, data, EVERY_RECORD if references else WITH_COINS)}
    if not references:
        return _judging(config, judged | (_query_canaries(config, target, common) if config.prepare.num_canaries else {}))
    null, positive = _controls(config)
    neutral = _trained_on_none(config, data)
    base, common = _query_base(config, common), common | {"features": neutral}
    queried = {"signals.base": base, "signals.0": _query(_attacked(config), target, common, "full")}
    for run in [positive, null, *references]:
        known = _shared_with(target, config.audit.depth)
        if run is positive and not known:
            known = {"captions": target.captions, "synthetic": _replay(run, data, target)}
        queried[f"signals.{run.name}"] = _query(run, recycle(run, data, known), common, config.audit.depth)
    return _judging(config, {**judged, "features": neutral, **queried})


def _trained_on_none(config: RunConfig, data: Step) -> Step:
    """Return the null control's Teacher. It was trained on no record of the pool, so its features favour none."""
    null, _ = _controls(config)
    return _step("teach", null.config.teach, null, {"data": data})


def _images_alone(config: RunConfig, target: Recycled) -> Step:
    """Return the Student of a user who trusts only the images: it is trained without the Teacher's labels."""
    receiver = Run(config=config, row=0, seed=config.seed, name="images_alone")
    released = {"synthetic": target.synthetic, "labels": target.labels}
    return _step("distill", config.distill.images_alone(), receiver, released)


def _judging(config: RunConfig, inputs: Mapping[str, Step]) -> Step:
    """Return the final evaluation: the only step that may open the test split; only the report follows it."""
    return _step("audit", config.audit, _target(config), inputs, opens=("data",))


def _shared_with(target: Recycled, depth: str) -> Mapping[str, Step]:
    """Return the steps that another run shares with the target."""
    if depth == "full":
        return NOTHING
    return {"captions": target.captions, "adapter": target.adapter, "synthetic": target.synthetic}


def _replay(run: Run, data: Step, target: Recycled) -> Step:
    """Return the step of a generator that memorized the target's members: its output is exactly its training images."""
    inputs = {"data": data, "captions": target.captions, "adapter": target.adapter}
    return _step("generate", run.config.generate, run, inputs, function="replay")


def _query_base(config: RunConfig, common: Mapping[str, Step], *, only_canaries: bool = False) -> Step:
    """Return the step that queries the generator in its state before training on private data."""
    base = Run(config=config, row=WITH_COINS if only_canaries else EVERY_RECORD, seed=config.seed, name="base")
    adapter = _step("adapt", config.adapt.unadapted(), base, common)
    return _query_step(base, {**common, "adapter": adapter}, only_canaries=only_canaries)


def _query_canaries(config: RunConfig, target: Recycled, common: Mapping[str, Step]) -> dict[str, Step]:
    """Return the steps that query a target without reference runs: only canaries are judged, on surfaces that have them."""
    inputs = {**common, "adapter": target.adapter, "teacher": target.teacher, "student": target.student}
    asked = _query_step(_attacked(config), inputs, only_canaries=True)
    return {"signals.base": _query_base(config, common, only_canaries=True), "signals.0": asked}


def _query(run: Run, recycled: Recycled, common: Mapping[str, Step], depth: str) -> Step:
    """Return the step that queries a run about every record, on all parts that this depth computes again."""
    inputs = {**common, "teacher": recycled.teacher}
    if depth != "teacher":
        inputs |= {"synthetic": recycled.synthetic, "student": recycled.student, "attacker": _attacker(run, recycled)}
    if depth == "full":
        inputs |= {"adapter": recycled.adapter}
    return _query_step(run, inputs)


def _attacker(run: Run, recycled: Recycled) -> Step:
    """Return the student that an attacker trains on the released images and labels of a run.

    If the Student of a run that only serves for comparison is trained with the same settings, it is this student: another
    one would differ by its seed alone.
    """
    config = run.config.distill.attacker()
    if run.name != ATTACKED and config == run.config.distill:
        return recycled.student
    attacking = replace(run, seed=derive_seed(run.seed, "attacker"), name=f"attacker.{run.name}")
    return _step("distill", config, attacking, {"synthetic": recycled.synthetic, "labels": recycled.labels})


def _query_step(run: Run, inputs: Mapping[str, Step], *, only_canaries: bool = False) -> Step:
    signals = run.config.audit.signals(only_canaries=only_canaries)
    return _step("audit", signals, run, inputs, name=f"signals.{run.name}", function="ask")


def _captions_of_attacked(config: RunConfig, data: Step, row: int) -> Step:
    """Return the step that captions the records of `row`, as an attacker who has a record would."""
    name = "all" if row == EVERY_RECORD else "canaries"
    return _captions(Run(config=config, row=row, seed=config.seed, name=name), data)


def _target(config: RunConfig) -> Run:
    return Run(config=config, row=0, seed=config.seed, role=Role.TARGET, name="")


def _attacked(config: RunConfig) -> Run:
    """Return the target as the audit attacks it; steps made for this are not part of the target run."""
    return Run(config=config, row=0, seed=config.seed, name=ATTACKED)


def _reference_runs(config: RunConfig) -> list[Run]:
    if config.prepare.audit_holdout == 0 or config.audit.num_reference_runs < MIN_REFERENCE_RUNS:
        return []
    rows = range(1, config.audit.num_reference_runs + 1)
    config = config.reference()
    seeds = {row: derive_seed(config.seed, "run", row) for row in rows}
    return [Run(config=config, row=row, seed=seeds[row], role=Role.REFERENCE, name=str(row)) for row in rows]


def _controls(config: RunConfig) -> tuple[Run, Run]:
    """Return the null control, trained on no record of the pool, and the control that memorizes the target's members."""
    null, positive = (derive_seed(config.seed, "control", name) for name in ("null", "positive"))
    return (
        Run(config=config.null_control(), row=VALIDATION_RUN, seed=null, name="null"),
        Run(config=config.memorizing(), row=0, seed=positive, name="positive"),
    )


def _all_for(step: Step, known: set[str]) -> Iterator[Step]:
    """Yield `step` and all its dependencies, inputs first, without those in `known`."""
    if step.name not in known:
        known.add(step.name)
        for source in step.inputs.values():
            yield from _all_for(source, known)
        yield step


def needed_for(steps: Sequence[Step], stage: str) -> list[Step]:
    """Return the target run's step of `stage` and all its dependencies, in order.

    Raises:
        UserError: there is no such stage.
    """
    if stage not in STAGES:
        raise UserError(f"unknown stage {shown(stage)}; expected one of {', '.join(STAGES)}")
    needed = {stage}
    for step in reversed(steps):
        if step.name in needed:
            needed |= {source.name for source in step.inputs.values()}
    return [step for step in steps if step.name in needed]


def _step(
    stage: str,
    config: StageConfig,
    run: Run,
    inputs: Mapping[str, Step] = NOTHING,
    *,
    name: str = "",
    function: str = "run",
    seals: tuple[str, ...] = (),
    opens: tuple[str, ...] = (),
) -> Step:
    return Step(
        name=name or (f"{stage}.{run.name}" if run.name else stage),
        stage=stage,
        function=f"tckr.stages.{stage}.stage:{function}",
        version=config.version,
        # artifacts of the audit are never released
        sensitivity=SENSITIVITY[stage] if run.role is Role.TARGET else Sensitivity.PRIVATE,
        config=config,
        seed=run.seed,
        run=run.row,
        role=run.role,
        inputs=dict(inputs),  # a step is sent to another process, and a read-only mapping cannot be pickled
        reads=_reads(config),
        seals=seals,
        opens=opens,
        prefers_alone=config.prefers_alone,
        uses_device=config.uses_device,
        trains_together=config.trains_together(run.row),
    )


def _reads(config: StageConfig) -> dict[str, str]:
    """Return the digest of the files outside the store that a stage reads."""
    if isinstance(config, PrepareConfig):
        return {"source": source_digest(config)}
    digests = {f"model.{number}": checkpoint_digest(name) for number, name in _numbered(config)}
    return digests | {name: digest(value) for name, digest in READS.items() if (value := getattr(config, name, None))}


def _numbered(config: StageConfig) -> Iterable[tuple[int, str]]:
    """Return number and model of each Teacher of an ensemble after the first, which is `model`."""
    return enumerate(config.other_models, start=2) if isinstance(config, TeachConfig) else ()
