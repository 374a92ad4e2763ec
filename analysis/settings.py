"""What a test scenario is to a run: the setting it was trained in, one that it has seen, or an unseen one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

import pandas as pd

from amc_core.run import Run
from amc_core.scenario import Mixture, Scenario

Descent = Sequence[tuple[Collection[Scenario], range]]  # scenarios and lengths of training, of a run and its ancestors


def setting(scenario: Scenario, length: int, descent: Descent) -> str:
    """What a test scenario and a length in samples are to a run: "trained", "seen" or "unseen".

    "trained": the run itself was trained there; on a mixture in each of its parts, with random lengths from the
    shortest to the longest. "unseen": neither the run nor one that it descends from was trained in the scenario, at
    whatever length. "seen": what is left, a scenario of an ancestor or another length.
    """
    scenarios, lengths = descent[0]
    if scenario in scenarios and length in lengths:
        return "trained"
    return "seen" if any(scenario in scenarios for scenarios, _ in descent) else "unseen"


def descent_of(run: Run) -> Descent:
    """Of a run and those that it descends from, the nearest first: the scenarios and lengths of their training."""
    own = trained_in(run.dataset.scenario, run.dataset.length, run.recipe.min_length)
    return [own, *(descent_of(run.parent) if run.parent else ())]


def settings(
    runs: pd.DataFrame, tests: Mapping[str, Scenario], lengths: Iterable[int]
) -> dict[tuple[str, str, int], str]:
    """(run, key in tests, length) → its setting; all that are missing are unseen. runs: of `read_runs`."""
    keys, lengths = defaultdict(list), list(lengths)
    for key, scenario in tests.items():
        keys[scenario].append(key)
    return {
        (run, key, length): setting(scenario, length, descent)
        for run, descent in zip(runs["run"], runs["descent"], strict=True)
        for scenario in {scenario for scenarios, _ in descent for scenario in scenarios}
        for key in keys.get(scenario, ())
        for length in lengths
    }


def trained_in(scenario: Scenario | Mixture, length: int, min_length: int | None) -> tuple[frozenset[Scenario], range]:
    """The scenarios and lengths of one training; min_length: of a recipe with random lengths."""
    return frozenset(scenario.components), range(min_length or length, length + 1)
