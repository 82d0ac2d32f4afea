"""teach: read the members of one run, train the Teacher, write its checkpoint."""

from __future__ import annotations

from tckr.data.card import read_card
from tckr.data.seeds import derive_seed
from tckr.engine.step import StepContext
from tckr.stages.teach.config import TeachConfig
from tckr.stages.teach.records import read_records
from tckr.training.artifact import save_training
from tckr.training.checkpoint import read_state
from tckr.training.fit import fit, new_classifier
from tckr.training.losses import CrossEntropy


def run(config: TeachConfig, context: StepContext) -> None:
    """Train a classifier on the member records of row `context.run`; input `data`."""
    data = context.inputs["data"]
    class_names = read_card(data).class_names
    members, validation = read_records(data, context.scratch, config, context.run)
    model = new_classifier(config, class_names, derive_seed(context.seed, "initialise"))
    finished = len(read_state(context.scratch).history)
    with context.track(config.epochs, "epochs", finished) as advance:
        result = fit(
            model,
            members,
            validation,
            CrossEntropy(config.label_smoothing),
            config,
            seed=context.seed,
            device=context.execution.torch_device(),
            scratch=context.scratch,
            on_epoch=lambda record: advance(1),
            compiled=context.execution.compile,
        )
    save_training(context.out, model, result)
    context.log("trained", epochs=len(result.history), best_epoch=result.best_epoch, num_train=result.num_train)
