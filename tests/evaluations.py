"""Evaluations for tests that need counts and no network."""

import torch

from amc_core.evaluation import CONFIDENCE_BINS, OUTCOMES, Evaluation


def evaluation_of(confusion) -> Evaluation:
    """What (SNRs, classes, classes) confusion counts are, with the right outcomes first and full confidence."""
    counts = torch.as_tensor(confusion)
    correct, n = counts.diagonal(dim1=1, dim2=2).sum(1), counts.sum((1, 2))
    right = tuple(torch.arange(size) < hits for size, hits in zip(n.tolist(), correct.tolist(), strict=True))
    confidence = torch.zeros(len(n), len(OUTCOMES), CONFIDENCE_BINS, dtype=torch.int64)
    confidence[:, 0, -1], confidence[:, 1, -1] = correct, n - correct
    return Evaluation(counts, torch.arange(counts.shape[1]), right, confidence, 0.0)
