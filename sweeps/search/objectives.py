"""What a search optimises, worked out from the store when the runs of a proposal are complete."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from amc_core.errors import AmcError
from amc_core.run import Dataset, Run
from sweeps.store import Store
from sweeps.study import SearchStudy, Study, last_runs, unseen_tests
from sweeps.study.file import OBJECTIVES


def objective(study: Study, store: Store, names: tuple[str, ...]) -> list[float]:
    """The objectives of a proposal that is complete, over its last runs (those after transfer, where there is any).

    "accuracy" is the mean over their cells, each pooled over SNRs, "unseen_accuracy" that over the cells in scenarios
    not trained in, "parameters" the mean number of trained values.
    """
    runs = last_runs(study)
    values = {}
    if "accuracy" in names:
        values["accuracy"] = _accuracy(store, [(run, study.tests(run)) for run in runs])
    if "unseen_accuracy" in names:
        values["unseen_accuracy"] = _accuracy(store, [(run, unseen_tests(study, run)) for run in runs])
    if "parameters" in names:
        values["parameters"] = float(np.mean([_parameters(store, run) for run in runs]))
    return [values[name] for name in names]


def _parameters(store: Store, run: Run) -> int:
    record = store.run(run.key).record()
    if record is None or record.parameters is None:
        raise AmcError(f"run {run.key} in store {str(store.path)!r} does not tell its number of parameters")
    return record.parameters


def _accuracy(store: Store, tests: Iterable[tuple[Run, Sequence[Dataset]]]) -> float:
    accuracies = []
    for run, datasets in tests:
        wanted, counts = {run.cell_key(test) for test in datasets}, {}
        for table in store.cell_tables([run.key], ["cell", "snr_db", "n", "correct"]):
            for cell, snr, n, correct in zip(*(column.to_pylist() for column in table.columns), strict=True):
                if cell in wanted:
                    counts[cell, snr] = n, correct  # one that two launches computed at once comes twice
        for cell in sorted(wanted):
            n, correct = np.sum([count for (key, _), count in counts.items() if key == cell], axis=0)
            if n:  # of modulations that were all never trained there is no accuracy
                accuracies.append(correct / n)
    return float(np.mean(accuracies))


def best(study: SearchStudy, trials: list) -> list:
    """Of one objective the best complete trial; of several the Pareto front: the trials that no other dominates."""
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    signs = [1 if OBJECTIVES[name] == "maximize" else -1 for name in study.search.objective]
    goods = [tuple(sign * value for sign, value in zip(signs, trial.values, strict=True)) for trial in complete]
    if len(signs) == 1:
        return [complete[goods.index(max(goods))]] if goods else []
    return [trial for trial, good in zip(complete, goods, strict=True) if not any(_dominates(o, good) for o in goods)]


def _dominates(first: tuple, second: tuple) -> bool:
    return first != second and all(a >= b for a, b in zip(first, second, strict=True))
