"""Evaluation of a classifier on a part of a dataset: counts, from which every accuracy follows."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from amc_core.instances import Instances
from amc_core.models.objective import scores_and_losses

_BATCH = 256  # instances classified at a time


@dataclass(frozen=True)
class Evaluation:
    """What a classifier made of some instances.

    confusion: (SNRs, classes, classes) int64, counts by SNR, sent and recognised modulation. loss: mean
    of what training minimises, the cross-entropy of all networks but DAE.
    """

    confusion: torch.Tensor
    loss: float

    @property
    def accuracy(self) -> float:
        return (self.confusion.diagonal(dim1=1, dim2=2).sum() / self.confusion.sum()).item()


@torch.inference_mode()
def evaluate(model: torch.nn.Module, instances: Instances, device: torch.device | str = "cpu") -> Evaluation:
    """Run a classifier over all instances. The model is left in evaluation mode."""
    model.eval()
    classes, snrs = instances.classes, instances.snrs
    confusion = torch.zeros(snrs * classes * classes, dtype=torch.int64, device=device)
    loss = torch.zeros((), device=device)
    for x, label, level in instances.batches(torch.arange(len(instances)), _BATCH):
        scores, losses = scores_and_losses(model, x, label)
        loss += losses.sum()
        place = (level * classes + label) * classes + scores.argmax(1)
        confusion += torch.bincount(place, minlength=len(confusion))
    return Evaluation(confusion.view(snrs, classes, classes).cpu(), loss.item() / len(instances))
