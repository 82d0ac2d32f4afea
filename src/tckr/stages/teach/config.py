"""Settings of `teach` and of the audit's two control models."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import Field, model_validator

from tckr.artifacts.data_card import DataCard
from tckr.models.model_names import ModelName
from tckr.models.needed import Needed
from tckr.stages.config_base import StageConfig
from tckr.training.config import TrainingConfig


class TeachConfig(StageConfig, TrainingConfig):
    """Settings of the Teacher's training."""

    version: ClassVar[int] = 2

    balance: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Correction for classes of unequal size, if the largest class has more than twice the images of the "
        "smallest: 0 = none, 1 = the Teacher predicts as if all classes were equally frequent. Accuracy on validation "
        "images is then the mean over classes (docs/distillation.md).",
    )
    num_teachers: int = Field(
        1,
        ge=1,
        le=100,
        description="Number of Teachers with different seeds; their probabilities are averaged wherever the "
        "Teacher is used (labels, online distillation, audit). Every reference run trains as many.",
    )
    other_models: list[ModelName] = Field(
        default_factory=list,
        max_length=100,
        description="Further models: Teachers use `model` and these in turn; empty: all use `model`.",
    )

    @model_validator(mode="after")
    def _every_model_is_used(self) -> Self:
        if len(self.other_models) >= self.num_teachers:
            raise ValueError(
                f"teach.other_models names {len(self.other_models)} models besides `model`, but teach.num_teachers="
                f"{self.num_teachers} leaves some unused; set num_teachers to {len(self.other_models) + 1} or more"
            )
        return self

    def models(self) -> list[str]:
        """Return the model of every Teacher."""
        names = [self.model, *self.other_models]
        return [names[position % len(names)] for position in range(self.num_teachers)]

    def trains_together(self, run: int) -> bool:
        """Return whether `run` is the target; the models of other runs are trained beside one another."""
        return run == 0

    def checkpoints(self) -> list[Needed]:
        """Return the model of every Teacher."""
        others = [self.needed("teach.other_models", name) for name in self.other_models]
        return [self.needed("teach.model", self.model), *others]

    def memorizing(self) -> TeachConfig:
        """Return the settings of the audit's positive control: the same model without regularization against memorizing."""
        return TeachConfig.model_validate(dict(self) | self.memorizing_changes())

    def null_control(self) -> TeachConfig:
        """Return the settings of the audit's null control: trained on the validation split, so without selection."""
        return TeachConfig.model_validate(dict(self) | {"selection": "last", "patience": None})


class VotingConfig(StageConfig, TrainingConfig):
    """Settings of Teachers on disjoint parts of the private set, whose noisy votes label images.

    The last epoch is kept, and classes of unequal size are not corrected, because validation images belong to no part.
    """

    version: ClassVar[int] = 1  # to be raised with TeachConfig's if a change concerns the training of these Teachers too

    @classmethod
    def of(cls, teach: TeachConfig) -> VotingConfig:
        """Return the settings of Teachers that are trained like that of `teach`."""
        training = {name: getattr(teach, name) for name in TrainingConfig.model_fields}
        return cls.model_validate(training | {"selection": "last", "patience": None})

    def checkpoints(self) -> list[Needed]:
        """Return the model of all Teachers."""
        return [self.needed("teach.model", self.model)]


class DpTeachConfig(VotingConfig):
    """Settings of the Teacher that labels under a guarantee: first trained on synthetic images, then with noise.

    Steps, noise and clipping of the training with noise are in the guarantee.
    """

    version: ClassVar[int] = 1

    @classmethod
    def of(cls, teach: TeachConfig) -> DpTeachConfig:
        """Return the settings of a Teacher like that of `teach`, without what a training with noise does not offer."""
        without = {
            "ema_decay": 0.0,
            "precision": "float32",
            "augment": teach.augment.model_copy(update={"mixup_alpha": 0.0}),
        }
        return cls.model_validate(dict(super().of(teach)) | without)

    def refuse_data(self, card: DataCard) -> None:
        """Raise a UserError if the images of a batch influence one another in the network for these classes."""
        from tckr.stages.teach.dp_sgd import refuse_network  # loads torch

        refuse_network(self, card.class_names)
