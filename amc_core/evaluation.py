"""Evaluation of a classifier on a part of a dataset: counts, from which every accuracy follows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy

from amc_core.instances import Instances

_BATCH = 256


@dataclass(frozen=True)
class Evaluation:
    """confusion: (SNRs, classes, classes) int64 counts by SNR, sent and recognised modulation. loss: mean cross-entropy."""

    confusion: torch.Tensor
    loss: float

    @property
    def accuracy(self) -> float:
        return (self.confusion.diagonal(dim1=1, dim2=2).sum() / self.confusion.sum()).item()


@torch.inference_mode()
def evaluate(model: torch.nn.Module, instances: Instances, device: torch.device | str = "cpu") -> Evaluation:
    """Run a classifier over all instances. The model is left in evaluation mode."""
    model.eval()
    classes, snrs = len(instances.simulator.keys), instances.snrs
    confusion = torch.zeros(snrs * classes * classes, dtype=torch.int64, device=device)
    loss = torch.zeros((), device=device)
    for positions in instances.blocks(1024):
        labels, snr, _ = (x.to(device) for x in instances.address(positions))
        for x, label, level in zip(instances(positions).split(_BATCH), labels.split(_BATCH), snr.split(_BATCH), strict=True):
            scores = model(x)
            loss += cross_entropy(scores, label, reduction="sum")
            confusion += torch.bincount((level * classes + label) * classes + scores.argmax(1), minlength=len(confusion))
    return Evaluation(confusion.view(snrs, classes, classes).cpu(), loss.item() / len(instances))
