"""The relation of a test setting to a run: trained in, seen, covered by distributions of its training, or unseen."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields

from amc_core.front_end import FrontEnd
from amc_core.run import Dataset, Run
from amc_core.scenario import Distribution, Mixture, Scenario

SETTINGS = ("trained", "seen", "covered", "unseen")

# Scenarios and lengths of the training of a run and of each run that it descends from, the nearest first.
Descent = Sequence[tuple[Collection[Scenario], range]]


def setting(scenario: Scenario, length: int, descent: Descent) -> str:
    """The relation of a test scenario and a length in samples to a run: one of `SETTINGS`.

    "trained": the run itself was trained in the scenario (or a mixture with it) at the length (or random lengths that
    include it). "seen": the run at another length, or a run that it descends from, was trained in the scenario.
    "covered": distributions of such a training could have drawn the scenario. "unseen": none of these.
    """
    scenarios, lengths = descent[0]
    if scenario in scenarios and length in lengths:
        return "trained"
    if any(scenario in scenarios for scenarios, _ in descent):
        return "seen"
    covered = any(covers(component, scenario) for scenarios, _ in descent for component in scenarios)
    return "covered" if covered else "unseen"


def is_unseen(test: Dataset, run: Run) -> bool:
    """Is the scenario of a test dataset, at any length, unseen by a run?"""
    return setting(test.scenario, test.length, descent_of(run)) == "unseen"


def covers(training: Scenario, test: Scenario) -> bool:
    """Could the distributions of a training scenario have drawn a test scenario, or all that the test can draw?"""
    return all(_could_be(getattr(training, field.name), getattr(test, field.name)) for field in fields(Scenario))


def varies(scenario: Scenario) -> bool:
    """Does a scenario have a distribution, so that it may cover others?"""
    values = [getattr(scenario, field.name) for field in fields(Scenario)]
    return any(isinstance(value, Distribution) or (isinstance(value, FrontEnd) and value.varies) for value in values)


def _could_be(drawn: object, value: object) -> bool:
    """Could `drawn`, a value or distribution of the training, give `value`, or all that `value` can draw?"""
    if drawn == value:
        return True
    if isinstance(drawn, FrontEnd) and isinstance(value, FrontEnd):
        return drawn.covers(value, _could_be)
    if not isinstance(drawn, Distribution):
        return False
    low, high = value.extremes if isinstance(value, Distribution) else (value, value)
    if drawn.kind != "signed_log_uniform":
        return drawn.low <= low and high <= drawn.high
    if isinstance(value, Distribution) and value.kind == "signed_log_uniform":
        return drawn.low <= value.low and value.high <= drawn.high
    return low * high > 0 and drawn.low <= min(abs(low), abs(high)) and max(abs(low), abs(high)) <= drawn.high


def descent_of(run: Run) -> Descent:
    """The scenarios and lengths in which a run and those that it descends from were trained, the nearest first."""
    own = trained_in(run.dataset.scenario, run.dataset.length, run.recipe.min_length)
    return [own, *(descent_of(run.parent) if run.parent else ())]


def trained_in(scenario: Scenario | Mixture, length: int, min_length: int | None) -> tuple[frozenset[Scenario], range]:
    """The scenarios and lengths of one training; min_length: of a recipe with random lengths."""
    return frozenset(scenario.components), range(min_length or length, length + 1)
