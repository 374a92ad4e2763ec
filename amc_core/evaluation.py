"""Evaluation of a classifier on a part of a dataset: counts, from which every accuracy follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from amc_core.confidence import CUTS, EQUAL_BINS
from amc_core.device import Acceleration, products
from amc_core.instances import Instances
from amc_core.models.objective import scores_and_losses

CONFIDENCE_BINS = EQUAL_BINS + CUTS  # of the largest probability, see `amc_core.confidence`
OUTCOMES = ("right", "wrong", "untrained")  # rows of a confidence histogram; the last counts modulations never trained


@dataclass(frozen=True)
class Evaluation:
    """A classifier's results on some instances.

    Modulations that were never trained have rows in the confusion counts and in the histograms; accuracy, loss and
    `right` leave them out.

    confusion: (SNRs, sent, classes) int64, counts by SNR, sent and recognised modulation. sent: (sent,) int64, the
    right class of each row, −1 if it was never trained. right: for each SNR (instances,) bool, one outcome an instance,
    ordered by modulation sent and index, so that two classifiers can be compared in pairs. confidence: (SNRs, 3, 50)
    int64, how often the largest probability (softmax of the scores) fell in each bin, by `OUTCOMES`. loss: mean of what
    training minimises (`scores_and_losses`), NaN if no instance has a right class. modulations, snrs_db: of the rows
    and of the SNRs, None for an unknown SNR; empty if they are all those of the dataset. A recording that is tested as
    a whole may have fewer, and not every modulation at every SNR. undefined: instances with a score that is NaN, of
    which the counts say nothing.
    """

    confusion: torch.Tensor
    sent: torch.Tensor
    right: tuple[torch.Tensor, ...]
    confidence: torch.Tensor
    loss: float
    modulations: tuple[str, ...] = ()
    snrs_db: tuple[float | None, ...] = ()
    undefined: int = 0

    @property
    def accuracy(self) -> float:
        return torch.cat(self.right).double().mean().item()


@torch.inference_mode()
def evaluate(
    model: torch.nn.Module,
    instances: Instances,
    device: torch.device | str = "cpu",
    classes: Sequence[str] | None = None,
) -> Evaluation:
    """Run a classifier over all instances, in float32. The model is left in evaluation mode.

    classes: names of the classifier's modulations, in its order; by default those of the instances.
    """
    model.eval()
    names = instances.modulations if classes is None else tuple(classes)
    class_of = {name: number for number, name in enumerate(names)}
    sent = torch.tensor([class_of.get(name, -1) for name in instances.modulations], device=device)
    rows, snrs, bins = len(sent), instances.snrs, CONFIDENCE_BINS
    confusion = torch.zeros(snrs * rows * len(names), dtype=torch.int64, device=device)
    confidence = torch.zeros(snrs * len(OUTCOMES) * bins, dtype=torch.int64, device=device)
    outcomes, levels = [], []
    loss, undefined = torch.zeros((), device=device), torch.zeros((), dtype=torch.int64, device=device)
    positions, size = torch.arange(len(instances)), Acceleration.of(device).evaluation_batch
    for block, (x, row, level) in zip(positions.split(size), instances.batches(positions, size), strict=True):
        arguments = (instances.known(block), names) if getattr(model, "knows_setting", False) else ()
        label = sent[row]
        with products("float32", device):
            scores, losses = scores_and_losses(model, x, label, arguments=arguments)
        loss += losses.sum()
        undefined += scores.isnan().any(1).sum()
        recognised = scores.argmax(1)
        outcome = torch.where(label < 0, 2, (recognised != label).long())
        bin_ = _confidence_bin(scores, recognised)
        ones = torch.ones_like(row)  # bincount would wait for the device
        confusion.index_add_(0, (level * rows + row) * len(names) + recognised, ones)
        confidence.index_add_(0, (level * len(OUTCOMES) + outcome) * bins + bin_, ones)
        outcomes.append(outcome)
        levels.append(level)
    # Instances come by modulation, SNR and index.
    outcome, level = torch.cat(outcomes).cpu().numpy(), torch.cat(levels).cpu().numpy()
    known = [outcome[(level == index) & (outcome != 2)] for index in range(snrs)]
    right = tuple(torch.from_numpy(each == 0) for each in known)
    count = sum(map(len, right))
    return Evaluation(
        confusion.view(snrs, rows, -1).cpu(),
        sent.cpu(),
        right,
        confidence.view(snrs, len(OUTCOMES), bins).cpu(),
        loss.item() / count if count else float("nan"),
        instances.modulations,
        instances.snrs_db,
        int(undefined),
    )


def _confidence_bin(scores: torch.Tensor, recognised: torch.Tensor) -> torch.Tensor:
    """The bin of the largest probability (softmax) of scores (batch, classes), (batch,) int64."""
    probability = scores.float().softmax(1)
    largest = probability.gather(1, recognised.unsqueeze(1)).squeeze(1)
    others = probability.scatter(1, recognised.unsqueeze(1), 0.0).sum(1)  # exact where 1 − largest rounds to 0
    edges = 0.25 ** torch.arange(1, CUTS + 1, device=scores.device) / EQUAL_BINS
    equal = (largest * EQUAL_BINS).long().clamp_(0, EQUAL_BINS - 1)
    return equal + (others.unsqueeze(1) < edges).sum(1)
