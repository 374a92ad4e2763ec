"""Plans: the runs and cells that a study names and the store lacks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from types import MappingProxyType

from amc_core.modulations import is_analogue
from amc_core.run import PARTS, Dataset, Run, require_unheard_tests
from sweeps import rates
from sweeps.store import Store
from sweeps.study import Source, Studies, Study, at_every_scale

_TEST_SIZE = attrgetter("test_size")  # quicker than a generator, over millions of cells


class Tests(tuple[Dataset, ...]):
    """Test datasets that many runs share; their keys and their work are computed once."""

    @cached_property
    def keys(self) -> frozenset[str]:
        return frozenset(test.key for test in self)

    @cached_property
    def work(self) -> int:
        """The number of instances of all of them."""
        return sum(map(_TEST_SIZE, self))

    def without(self, evaluated: Set[str]) -> Tests:
        """The datasets whose keys are not among the evaluated ones."""
        lacking = self.keys - evaluated
        return self if len(lacking) == len(self) else Tests(test for test in self if test.key in lacking)


_NOTHING = Tests()


@dataclass(frozen=True)
class RunPlan:
    """One run of a study.

    trained: whether the store has it. cells: how many it has in the study. missing: the tests not yet evaluated.
    """

    run: Run
    trained: bool
    cells: int
    missing: Tests

    @property
    def complete(self) -> bool:
        return self.trained and not self.missing

    @cached_property
    def training_work(self) -> int:
        """Instances that are still to pass through training."""
        return 0 if self.trained else self.run.work()

    @property
    def evaluation_work(self) -> int:
        """Instances that are still to be classified."""
        return self.missing.work


@dataclass(frozen=True, repr=False)
class Plan:
    """Every run of a study, in the order in which trials start: most work first.

    damaged: the number of cells files that cannot be read; their cells count as missing.
    """

    runs: tuple[RunPlan, ...]
    damaged: int = 0

    @property
    def incomplete(self) -> tuple[RunPlan, ...]:
        return tuple(plan for plan in self.runs if not plan.complete)

    @property
    def untrained(self) -> int:
        return sum(not plan.trained for plan in self.runs)

    @property
    def cells(self) -> int:
        return sum(plan.cells for plan in self.runs)

    @property
    def missing_cells(self) -> int:
        return sum(len(plan.missing) for plan in self.runs)

    @cached_property
    def missing_datasets(self) -> dict[Dataset, tuple[str, ...]]:
        """Dataset of missing work → the parts that it needs; datasets of tests come first."""
        shared = {id(plan.missing): plan.missing for plan in self.runs}
        tests = {test: ("test",) for tests in shared.values() for test in tests}
        return tests | {plan.run.dataset: PARTS for plan in self.runs if not plan.trained}

    def __repr__(self) -> str:
        runs, cells = len(self.runs), self.cells
        return f"<Plan: {self.untrained} of {runs} runs and {self.missing_cells} of {cells} cells are missing>"


def make_plan(study: Study | Studies, store: Store, few: bool = False) -> Plan:
    """Compare a study with a store. few: look up the study's runs one by one and do not list the whole store."""
    runs = study.runs()
    listing = store.listing([run.key for run in runs] if few else None)
    if not few:
        listing.warn_of_version()
    trained, plans = listing.records(run.key for run in runs), []
    shared: dict[int, tuple[tuple[Dataset, ...], Tests]] = {}  # by the identity of a tuple, which this keeps alive
    for run, evaluated in zip(runs, listing.tested(run.key for run in runs), strict=True):
        given = study.tests(run)
        if id(given) not in shared:
            shared[id(given)] = given, Tests(given)
        tests = missing = shared[id(given)][1]
        if run.key in trained and evaluated:
            missing = _NOTHING if tests.keys <= evaluated else tests.without(evaluated)
        plans.append(RunPlan(run, run.key in trained, len(tests), missing))
    ordered = sorted(plans, key=lambda plan: -plan.training_work - plan.evaluation_work)
    return Plan(tuple(ordered), len(listing.damaged))


def expected_seconds(plan: Plan, store: Store, done: Mapping[str, float] = MappingProxyType({})) -> dict[str, float]:
    """Device → seconds that the missing work takes there, one trial at a time, by the durations of the store's runs.

    done: run key → the part of its training that is done. A device is left out unless the store has durations of
    every missing classifier on it.
    """
    speeds, seconds = store.speeds(), {}
    for device in {device for device, _ in speeds}:
        known = [speeds.get((device, entry.run.model)) for entry in plan.incomplete]
        if all(known):
            taken = zip(plan.incomplete, known, strict=True)
            seconds[device] = sum(_seconds(entry, speed, done.get(entry.run.key, 0.0)) for entry, speed in taken)
    return seconds


def shipped_seconds(plan: Plan, done: Mapping[str, float] = MappingProxyType({})) -> float | None:
    """As `expected_seconds`, by the durations on `rates.MACHINE`; None if a network of the user's own is missing."""
    known = [rates.samples_per_second(entry.run) for entry in plan.incomplete]
    if not all(known):
        return None
    taken = zip(plan.incomplete, known, strict=True)
    return sum(_seconds(entry, speed, done.get(entry.run.key, 0.0)) for entry, speed in taken)


def run_seconds(
    entry: RunPlan, speeds: Mapping[tuple[str, str], tuple[float, float]], done: float = 0.0, shipped: bool = True
) -> float | None:
    """Seconds that the missing work of one run takes on the fastest device that `Store.speeds` has for its classifier.

    done: the part of its training that is done. shipped: if there is no such device, use the rates of
    `rates.MACHINE`. None if there are no rates.
    """
    known = [speed for (_, model), speed in speeds.items() if model == entry.run.model]
    if not known and shipped:
        known = [speed] if (speed := rates.samples_per_second(entry.run)) else []
    return min((_seconds(entry, speed, done) for speed in known), default=None)


def _seconds(entry: RunPlan, speeds: tuple[float, float], done: float) -> float:
    """How long one run takes. speeds: samples trained on, and classified, per second. done: part of its training."""
    trained, classified = speeds
    training = entry.training_work * (1 - done) / (trained or math.inf)
    return entry.run.dataset.length * (training + entry.evaluation_work / classified)


def elsewhere(source: Source, store: Store, scale: str | None) -> str:
    """The other scales at which a store holds cells of a study, in words: "it holds cells at smoke: add …"."""
    listing = store.listing()
    trained = listing.trained()
    held = [
        study.scale
        for study in (at_every_scale(source) if trained else ())
        if study.scale != scale and any(listing.tested(run.key for run in study.runs() if run.key in trained))
    ]
    scales = " and ".join("the scale as written" if name is None else name for name in held)
    ways = " or ".join("leave --scale out" if name is None else f"add --scale {name}" for name in held)
    return f"it holds cells at {scales}: {ways}" if held else ""


def require_recordings(plan: Plan) -> None:
    """Check the recordings and audio files of the missing work.

    Raises AmcError if one lacks what the study asks of it, or if a test would use instances of the training.
    """
    datasets = plan.missing_datasets
    recorded = [(dataset, path) for dataset in datasets for path in _recordings(dataset)]
    if recorded:
        from amc_core.recorded import Recorded, require_unseen_tests  # need torch, which planning does not

        for dataset, path in recorded:
            Recorded(dataset, path)
        for entry in plan.incomplete:
            require_unseen_tests(entry.run, entry.missing)
    for entry in plan.incomplete:
        require_unheard_tests(entry.run, entry.missing)
    sounding = {
        (scenario, dataset.length, dataset.stretch(part)): name
        for dataset, parts in datasets.items()
        for scenario in dataset.scenario.components
        if scenario.audio
        for name in filter(is_analogue, dataset.modulations)
        for part in parts
    }
    for (scenario, length, stretch), name in sounding.items():
        from amc_core.simulator import Simulator  # needs torch, too

        Simulator(scenario, [name], [0], length, stretch=stretch)


def _recordings(dataset: Dataset) -> list[str]:
    return [scenario.recording for scenario in dataset.scenario.components if scenario.recording]
