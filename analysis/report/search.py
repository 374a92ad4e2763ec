"""The data of a search for the page: its proposals, their values, and the importance of each dimension."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from amc_core.quantities import written
from analysis.results import Results
from sweeps.search import proposal_table, trials
from sweeps.search.objectives import directions
from sweeps.study import SearchStudy

_FEWEST = 4  # complete proposals that are needed for importances
_TREES = 64


def search_data(results: Results) -> dict | None:
    """A search's objectives, dimensions with values and importances, and proposals; None for another study.

    Importances are Optuna's fANOVA (Hutter et al. 2014) with a fixed seed, one list an objective; None if too few
    proposals are complete.
    """
    study = results.study
    if not isinstance(study, SearchStudy):
        return None
    table = proposal_table(study, results.store)
    names = [dimension.name for dimension in study.space.dimensions]
    objectives = list(study.search.objective)
    return {
        "objectives": [
            {"name": name, "direction": direction, "importances": _importances(study, results, index)}
            for index, (name, direction) in enumerate(zip(objectives, directions(study), strict=True))
        ],
        "dimensions": [
            {"name": each.name, "label": _short(each.name, names), "log": each.log, "choice": each.kind == "choice"}
            for each in study.space.dimensions
        ],
        "proposals": [
            {
                "number": int(row["proposal"]),
                "state": row["state"],
                "best": bool(row["best"]),
                "objectives": [_number(row[name]) for name in objectives],
                "values": [_value(row[name]) for name in names],
                "runs": row["runs"].split(),
            }
            for row in table.to_dict("records")
        ],
    }


def _importances(study: SearchStudy, results: Results, index: int) -> dict[str, float] | None:
    import optuna

    complete = [trial for trial in trials(study, results.store) if trial.state.name == "COMPLETE"]
    if len(complete) < _FEWEST or np.ptp([trial.values[index] for trial in complete]) == 0:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        opened = optuna.create_study(directions=directions(study))
        opened.add_trials(complete)
        evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=_TREES, seed=0)
        # Only dimensions that all proposals have can be compared.
        shared = set.intersection(*(set(trial.params) for trial in complete))
        varied = [name for name in sorted(shared) if len({str(trial.params[name]) for trial in complete}) > 1]
        if not varied:
            return None
        importances = optuna.importance.get_param_importances(
            opened, evaluator=evaluator, params=varied, target=lambda trial: trial.values[index]
        )
    return {name: float(f"{value:.4g}") for name, value in importances.items()}


def _short(name: str, names: list[str]) -> str:
    """The last part of a dimension's name if it is unique, else the whole name."""
    last = name.rpartition(".")[2]
    return last if sum(other.rpartition(".")[2] == last for other in names) == 1 else name


def _number(value: Any) -> float | None:
    return None if value is None or value != value else float(f"{float(value):.6g}")


def _value(value: Any) -> float | str | None:
    if value is None or value != value:
        return None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else written(value)
