"""Several classifiers with averaged probabilities (Lakshminarayanan et al. 2017, "Deep Ensembles").

Shape suffixes: B batch, C 3 colours, H height, W width, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from tckr.models.classifiers.classifier import Classifier, class_columns

MEMBER = "member-"
"""Prefix of the name of a member's folder inside an ensemble's folder; a number from 1 follows."""


class Ensemble(nn.Module):
    """Map float images [B, 3, H, W] in [0, 1] to the logarithm of the members' mean probabilities [B, K].

    These are valid logits, because their softmax is the mean; callers can treat an ensemble like one classifier.

    Attributes:
        members: at least one; they may differ in architecture, input size and class order.
        class_names: K names in the order of the logits.
    """

    def __init__(self, members: Sequence[Classifier]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self._first = (members[0],)  # in a tuple: not registered a second time
        self.class_names = members[0].class_names
        self._columns = [class_columns(member.class_names, self.class_names).tolist() for member in members]

    @property
    def network(self) -> PreTrainedModel:
        """Return the first member's network; its features are used for the ensemble."""
        return self._first[0].network

    @property
    def device(self) -> torch.device:
        """Return the device of the weights."""
        return self._first[0].device

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return `log (1/n sum_i softmax(z_i))` of the members' logits z_i."""
        members = zip(self.members, self._columns, strict=True)
        logits = torch.stack([member(images_BCHW)[:, columns] for member, columns in members])
        return logits.log_softmax(dim=2).logsumexp(dim=0) - math.log(len(logits))


AnyClassifier = Classifier | Ensemble


def member_folders(folder: Path) -> list[Path]:
    """Return the folders of an ensemble's members in `folder`, in order; empty if it contains a single classifier."""
    return sorted(folder.glob(f"{MEMBER}*"), key=lambda path: int(path.name.removeprefix(MEMBER)))
