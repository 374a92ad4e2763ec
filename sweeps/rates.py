"""How fast classifiers were on one machine, for an estimate before a store has durations of its own."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amc_core.run import Run

MACHINE = "one core of an AMD EPYC with AVX2"
_LENGTH, _CLASSES = 1024, 20  # of the instances of the measurement
# Model → instances a second that one thread trains and classifies: benchmarks/results/train-cpu.txt, half of "per core"
# and of evaluation's "ours", which are of two cores; of hoc_svm, its fit.
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
# Multiply-accumulates of classifying that a thread gets through in a second of training, and of classifying: medians
# over these classifiers, from a seventh less to half more.
_OPERATIONS = (5.7e9, 21e9)


def samples_per_second(run: Run) -> tuple[float, float] | None:
    """Samples of I/Q data that `MACHINE` trains a run's classifier on, and classifies, per second.

    Of a classifier that was not measured, by its multiply-accumulates; None of a network of the user's own.
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

    if model_spec(model).knows_setting:  # it solves for the symbols, and has no layers to count
        return 0
    return multiply_accumulates(build_model(model, _CLASSES, length), length)
