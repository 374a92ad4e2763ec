"""Speeds of the classifiers on one machine, for estimates before a store has durations of its own."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amc_core.run import Run

MACHINE = "one core of an AMD EPYC with AVX2"
_LENGTH, _CLASSES = 1024, 20  # of the instances of the measurement
# Model → instances per second that one thread trains and classifies. Source: benchmarks/results/train-cpu.txt, half of
# "per core" and of the evaluation's "ours", which are of two cores; of hoc_svm, its fit.
_MEASURED = {
    "classnet": (782, 2138),
    "cnn1d": (456, 1380),
    "cnn2d": (37, 192),
    "hoc_svm": (596, 1000),
    "lstm": (30, 98),
    "mod_lcnn": (370, 1372),
    "mod_lrcnn": (114, 364),
    "pf_cnn": (42, 202),
    "resnet": (78, 166),
    "stn_resnext": (213, 608),
    "vgg": (286, 868),
}
# Multiply-accumulates of the forward pass that one thread does per second, in training and in classifying: medians over
# these classifiers, which lie from a seventh below to a half above.
_OPERATIONS = (5.7e9, 21e9)


def samples_per_second(run: Run) -> tuple[float, float] | None:
    """I/Q samples per second that `MACHINE` trains a run's classifier on, and classifies.

    The rates of a classifier that was not measured follow from its multiply-accumulates. None for a network of the
    user's own.
    """
    if run.code:
        return None
    if run.model in _MEASURED:
        trained, classified = _MEASURED[run.model]
        return trained * _LENGTH, classified * _LENGTH
    needed = max(_operations(run.model, run.dataset.length), 1)
    trained, classified = (rate / needed for rate in _OPERATIONS)
    return trained * run.dataset.length, classified * run.dataset.length


@cache
def _operations(model: str, length: int) -> int:
    from amc_core.models import build_model, model_spec
    from amc_core.models.complexity import multiply_accumulates  # needs torch, which planning does not

    if model_spec(model).knows_setting:  # it has no layers to count
        return 0
    return multiply_accumulates(build_model(model, _CLASSES, length), length)
