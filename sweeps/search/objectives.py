"""What a search optimises: a registry of objectives, computed from the store once a proposal's runs are complete.

A study file may use the names in `OBJECTIVES`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from amc_core.errors import AmcError

if TYPE_CHECKING:  # study files take the names from here
    from amc_core.run import Dataset, Run
    from sweeps.store import Store
    from sweeps.study import SearchStudy, Study


class Objective(NamedTuple):
    """What makes one proposal better than another.

    direction: "maximize" or "minimize". value: computes the objective of a proposal, given as a plain study whose runs
    are all complete in the store. tests: for an objective that is a mean accuracy, the tests of a run that it is the
    mean over; None for any other. A pruner needs an objective that is an accuracy.
    """

    direction: str
    value: Callable[[Study, Store], float]
    tests: Callable[[Study, Run], Sequence[Dataset]] | None = None


def _mean_accuracy(tests: Callable[[Study, Run], Sequence[Dataset]]) -> Objective:
    """The mean accuracy over those tests of all last runs (those after transfer, if any), each pooled over SNRs."""

    def value(study: Study, store: Store) -> float:
        return _accuracy(store, [(run, tests(study, run)) for run in study.last_runs()])

    return Objective("maximize", value, tests)


def _mean_parameters(study: Study, store: Store) -> float:
    """The mean number of trained parameters of the last runs."""
    return float(np.mean([_parameters(store, run) for run in study.last_runs()]))


OBJECTIVES: dict[str, Objective] = {
    "unseen_accuracy": _mean_accuracy(lambda study, run: study.unseen_tests(run)),
    "accuracy": _mean_accuracy(lambda study, run: study.tests(run)),
    "parameters": Objective("minimize", _mean_parameters),
}


def objective(study: Study, store: Store, names: tuple[str, ...]) -> list[float]:
    """The values of these objectives for a complete proposal."""
    return [OBJECTIVES[name].value(study, store) for name in names]


def directions(study: SearchStudy) -> list[str]:
    """The direction, "maximize" or "minimize", of each objective of a search."""
    return [OBJECTIVES[name].direction for name in study.search.objective]


def _parameters(store: Store, run: Run) -> int:
    record = store.run(run.key).record()
    if record is None or record.parameters is None:
        raise AmcError(f"run {run.key} in store {str(store.path)!r} has no number of parameters in its record")
    return record.parameters


def _accuracy(store: Store, tests: Iterable[tuple[Run, Sequence[Dataset]]]) -> float:
    accuracies = []
    for run, datasets in tests:
        wanted, counts = {run.cell_key(test) for test in datasets}, {}
        for table in store.cell_tables([run.key], ["cell", "snr_db", "n", "correct"]):
            for cell, snr, n, correct in zip(*(column.to_pylist() for column in table.columns), strict=True):
                if cell in wanted:
                    counts[cell, snr] = n, correct  # a cell that two launches computed at once comes twice
        for cell in sorted(wanted):
            n, correct = np.sum([count for (key, _), count in counts.items() if key == cell], axis=0)
            if n:  # 0 if none of the modulations was trained
                accuracies.append(correct / n)
    return float(np.mean(accuracies)) if accuracies else math.nan


def best(study: SearchStudy, trials: list) -> list:
    """For one objective, the best complete trial; for several, the Pareto front: trials that no other dominates."""
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    signs = [1 if direction == "maximize" else -1 for direction in directions(study)]
    goods = [tuple(sign * value for sign, value in zip(signs, trial.values, strict=True)) for trial in complete]
    if len(signs) == 1:
        return [complete[goods.index(max(goods))]] if goods else []
    return [trial for trial, good in zip(complete, goods, strict=True) if not any(_dominates(o, good) for o in goods)]


def _dominates(first: tuple, second: tuple) -> bool:
    return first != second and all(a >= b for a, b in zip(first, second, strict=True))
