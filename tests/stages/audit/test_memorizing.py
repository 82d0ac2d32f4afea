"""A pipeline that gives away its members is caught on every surface, from its artifacts; one that learned nothing is not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tckr.artifacts.audit import AuditResult
from tckr.membership.collection import assemble, relative_to_base
from tckr.membership.queries.answers import read_answers
from tckr.membership.queries.questions import Answers
from tckr.membership.verdict import judge
from tckr.metrics.estimate import Estimate
from tckr.stages.audit import stage
from tckr.stages.audit.config import AuditConfig, SignalConfig
from tckr.surfaces import SIGNALS
from tests.membership.artifacts import (
    noise_images,
    overfit,
    write_adapter,
    write_all_captions,
    write_classifier,
    write_pool,
    write_synthetic,
)
from tests.tiny_artifacts import CLASS_NAMES, make_context
from tests.tiny_models import ARRAY_WARNING

pytestmark = pytest.mark.filterwarnings(ARRAY_WARNING)
NUM = 24
IMAGES, LABELS = noise_images(0, NUM), np.arange(NUM) % 3
PROMPTS = [f"{CLASS_NAMES[label]}: mark {record}" for record, label in enumerate(LABELS)]
MEMBERS = np.random.default_rng(1).permutation(np.arange(NUM) % 8) >> np.arange(3)[:, None] & 1 == 1
"""Each combination of memberships in the three runs occurs for three records, so no run's members follow from another's."""
SETTINGS = SignalConfig(shift=0, loss_draws=1, num_neighbours=1)
LEVEL = 50  # of 100: the middle of the schedule, where one draw is taken
ROLES = ("teacher", "student", "attacker")
SCORERS = ("bavaria_online", "lira_offline_fixed_variance")


@dataclass(frozen=True)
class World:
    """What all runs share, and the base generator."""

    folder: Path
    base: Path

    def ask(self, name: str, own: dict[str, Path]) -> Answers:
        """Return a run's answers as the step `ask` writes them."""
        common = {each: self.folder / each for each in ("data", "captions")}
        context = make_context(self.folder / name, {**common, **own}, batch_size=32)
        stage.ask(SETTINGS, context)
        return read_answers(context.out, len(IMAGES))

    def memorizing(self, run: int) -> Answers:
        """Ask a run whose images and prompts are its members', and whose models know them by heart."""
        rows, folder = np.flatnonzero(MEMBERS[run]), self.folder / f"run-{run}"
        known, prompts = (IMAGES[rows], LABELS[rows]), [PROMPTS[row] for row in rows]
        learned = overfit(self.base, folder / "generator", known[0], prompts, steps=75, levels=[LEVEL])
        student = write_classifier(folder / "student", 10 + run, known)  # learns from the synthetic images: its members
        return self.ask(
            str(run),
            {
                "adapter": write_adapter(folder / "adapter", learned),
                "synthetic": write_synthetic(folder / "synthetic", *known, prompts),
                "teacher": write_classifier(folder / "teacher", run, known),
                "student": student,
                "attacker": student,  # learns from the same images
                "features": self.folder / "features",
            },
        )

    def untrained(self) -> Answers:
        """Ask a run that made up its images and prompts and learned nothing."""
        models = {role: write_classifier(self.folder / "null" / role, 20 + i) for i, role in enumerate(ROLES)}
        drawn = write_synthetic(self.folder / "null" / "synthetic", noise_images(2, 12), LABELS[:12], ["alpha: dream"] * 12)
        adapter = write_adapter(self.folder / "null" / "adapter", self.base)
        return self.ask("null", models | {"synthetic": drawn, "adapter": adapter, "features": self.folder / "features"})


@pytest.fixture(scope="module")
def answers(loud_generator: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answers]:
    """Return the answers of a memorizing target, two references of its kind, an untrained run and the base model."""
    world = World(tmp_path_factory.mktemp("memorizing"), loud_generator)
    write_pool(world.folder / "data", IMAGES, LABELS, MEMBERS, validation=noise_images(3, 24))
    write_all_captions(world.folder / "captions", [f"mark {record}" for record in range(NUM)])
    write_classifier(world.folder / "features", seed=30)
    found = {str(run): world.memorizing(run) for run in range(3)}
    base = world.ask("base", {"adapter": write_adapter(world.folder / "base-adapter", loud_generator)})
    assert set(base) == {"adapter"}
    return found | {"null": world.untrained(), "base": base}


def judged(answers: dict[str, Answers]) -> AuditResult:
    config = AuditConfig(depth="full", **SETTINGS.model_dump())
    evidence = assemble(
        config,
        relative_to_base(answers),
        class_names=CLASS_NAMES,
        labels=LABELS,
        membership=MEMBERS,
        canaries=np.zeros(NUM, dtype=np.int8),
        test_labels=np.empty(0, dtype=np.int64),
        test={},
    )
    return judge(config, evidence)


def test_a_pipeline_that_memorizes_is_caught_on_every_surface(answers: dict[str, Answers]) -> None:
    result = judged(answers)
    assert set(result.surfaces) == set(SIGNALS)
    for surface, found in result.surfaces.items():
        assert found.signal == SIGNALS[surface][0]
        for scorer in SCORERS:
            auc = found.auc[scorer]
            assert isinstance(auc, Estimate)
            assert auc.value > 0.9, (surface, scorer, auc)
            others = {signal: aucs[scorer].value for signal, aucs in found.other_signals.items()}  # type: ignore[union-attr]
            assert others.get("images_pixels", 1) > 0.9
            assert others.get("student_indirect", 1) > 0.65  # the image nearest to a non-member may have its label by chance


def test_every_signal_alone_is_higher_for_members(answers: dict[str, Answers]) -> None:
    """No attack has a say: a signal of the wrong sign fails here."""
    for run in range(3):
        for signal in (name for names in SIGNALS.values() for name in names):
            values = relative_to_base(answers)[str(run)][signal]
            assert values[MEMBERS[run]].mean() > values[~MEMBERS[run]].mean(), (run, signal)
    assert answers["0"]["captions"].tolist() == np.log1p(MEMBERS[0].astype(float)).tolist()
    assert answers["0"]["images_pixels"][MEMBERS[0]] == pytest.approx(0, abs=1e-9)


def test_a_run_that_learned_nothing_gives_nothing_away(answers: dict[str, Answers]) -> None:
    untrained = {name: answers[name] for name in ("1", "2", "base")} | {"0": answers["null"]}
    for surface, found in judged(untrained).surfaces.items():
        for scorer in SCORERS:
            auc = found.auc[scorer]
            assert isinstance(auc, Estimate)
            assert auc.covers(0.5), (surface, scorer, auc)
    checks = [check for check in judged(answers).controls if check.name == "null"]
    assert {check.surface for check in checks} == set(SIGNALS)
    assert all(check.passed for check in checks)
