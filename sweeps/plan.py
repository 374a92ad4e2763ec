"""What a study names and the store lacks, worked out by looking."""

from __future__ import annotations

from dataclasses import dataclass

from amc_core.run import Dataset, Run
from sweeps.store import Store
from sweeps.study import Study


@dataclass(frozen=True)
class RunPlan:
    """One run of a study: is it trained, and which of its cells are still to be evaluated?"""

    run: Run
    trained: bool
    cells: int
    missing: tuple[Dataset, ...]

    @property
    def complete(self) -> bool:
        return self.trained and not self.missing

    @property
    def training_work(self) -> int:
        """Instances that are still to pass through training."""
        return 0 if self.trained else self.run.work()

    @property
    def evaluation_work(self) -> int:
        """Instances that are still to be classified."""
        return sum(test.size("test") for test in self.missing)


@dataclass(frozen=True)
class Plan:
    """Every run of a study, in the order in which trials start: most work first."""

    runs: tuple[RunPlan, ...]

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


def make_plan(study: Study, store: Store) -> Plan:
    """Compare a study with a store."""
    trained = store.trained()
    plans = []
    for run in study.runs():
        evaluated = store.cells(run.key)
        tests = study.tests(run)
        missing = tuple(test for test in tests if run.cell_key(test) not in evaluated)
        plans.append(RunPlan(run, run.key in trained, len(tests), missing))
    return Plan(tuple(sorted(plans, key=lambda plan: -plan.training_work - plan.evaluation_work)))


def require_recordings(plan: Plan) -> None:
    """Raise AmcError unless the recordings that the missing work needs hold what it asks of them."""
    datasets = {test: None for entry in plan.incomplete for test in entry.missing}
    datasets |= {entry.run.dataset: None for entry in plan.incomplete if not entry.trained}
    recorded = [(dataset, path) for dataset in datasets for path in _recordings(dataset)]
    if recorded:
        from amc_core.recorded import Recorded  # needs torch, which planning does not

        for dataset, path in recorded:
            Recorded(dataset, path)


def _recordings(dataset: Dataset) -> list[str]:
    return [scenario.recording for scenario in dataset.scenario.components if scenario.recording]
