"""Checks of the user's own code before a launch: does it work, and has it changed since the store was written?"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime

from amc_core.dry_run import Attempt, FrontEndAttempt, require_working
from amc_core.own import OwnCode
from amc_core.quantities import many
from amc_core.run import Dataset, Run
from sweeps.planning import Plan
from sweeps.store import Store
from sweeps.study import SearchStudy, Studies, Study

_MOST_TRIED = 12  # combinations of hyperparameters of a network, or of parameters of a front end, with first and last


def require_working_code(study: Study | Studies, plan: Plan) -> None:
    """Try every network and front end of the user's own that missing work uses. Raises AmcError as `dry_run` does."""
    work, datasets = [(entry.run, entry.missing) for entry in plan.incomplete], plan.missing_datasets
    if isinstance(study, SearchStudy) and len(study.proposals) < study.wanted:
        ends = [(run, end.tests(run)) for end in study.ends for run in end.runs()]
        work, datasets = work + ends, (*datasets, *(one for run, tests in ends for one in (*tests, run.dataset)))
    attempts: dict[str, dict[str, Attempt | FrontEndAttempt]] = {}
    for attempt in (attempt for dataset in datasets for attempt in _front_ends(dataset)):
        attempts.setdefault(f"{attempt.model} {attempt.front_end.digest}", {})[str(attempt)] = attempt
    for run, tests in work:
        if run.code:
            attempt = Attempt(run.model, len(run.dataset.modulations), _lengths(run, tests), run.hyperparameters)
            attempts.setdefault(f"{run.model} {run.code}", {})[f"{attempt} {attempt.lengths}"] = attempt
    require_working([attempt for several in attempts.values() for attempt in _spread([*several.values()])])


def _front_ends(dataset: Dataset) -> list[FrontEndAttempt]:
    scenarios = [scenario for scenario in dataset.scenario.components if scenario.front_end]
    return [FrontEndAttempt(scenario.front_end, dataset.length, scenario.sample_rate) for scenario in scenarios]


def _lengths(run: Run, tests: tuple[Dataset, ...]) -> tuple[int, ...]:
    own = [run.dataset.length, *(test.length for test in tests)]
    return tuple(dict.fromkeys([*own, *([run.recipe.min_length] if run.recipe.min_length else [])]))


def _spread(attempts: list) -> list:
    if len(attempts) <= _MOST_TRIED:
        return attempts
    return [attempts[index * (len(attempts) - 1) // (_MOST_TRIED - 1)] for index in range(_MOST_TRIED)]


@dataclass
class _New:
    """Code of the user's own that missing work uses: untrained runs, and missing cells of trained runs."""

    code: OwnCode
    digests: set[str] = field(default_factory=set)
    runs: int = 0
    cells: int = 0
    trained: set[str] = field(default_factory=set)  # keys of the runs whose cells are missing

    @property
    def text(self) -> str:
        counts = [many(count, name) for count, name in ((self.runs, "run"), (self.cells, "cell")) if count]
        verb = "is" if self.runs + self.cells == 1 else "are"
        return f"{' and '.join(counts)} {verb} new; the old results stay in the store."


def changes_of_code(plan: Plan, store: Store) -> list[str]:
    """A sentence for each network and front end of the user's own whose text in the store is another one.

    "my_net.py changed since 3f2a…: 12 runs are new; the old results stay in the store." The old text is never imported.
    """
    new: dict[str, _New] = {}

    def missing(code: OwnCode) -> _New:
        entry = new.setdefault(str(code), _New(code))
        entry.digests.add(code.digest)
        return entry

    for entry in plan.incomplete:
        run = entry.run
        if not entry.trained:
            for code in filter(lambda code: isinstance(code, OwnCode), (run.model, *run.dataset.functions)):
                missing(code).runs += 1
        for code in [code for test in entry.missing for code in test.functions] if entry.trained else ():
            missing(code).cells += 1
            missing(code).trained.add(run.key)
    old = _others(new, store)
    lines = []
    for name in filter(old.get, new):
        _, digest, key = max(old[name])
        before, now = store.run(key).code(digest), new[name].code.sources
        changed = sorted(path for path in {*before, *now} if before.get(path) != now.get(path))
        files = ", ".join(changed if before else [new[name].code.path])
        lines.append(f"{files} changed since {digest[:4]}…: {new[name].text}")
    return list(dict.fromkeys(lines))


def _others(new: dict[str, _New], store: Store) -> dict[str, list[tuple[str, str, str]]]:
    """Name → (time, digest, run key) of every other text of that name that trained or tested a run of the store."""
    old: dict[str, list[tuple[str, str, str]]] = {}

    def add(name: str, digest: str | None, moment: datetime | None, key: str) -> None:
        if name in new and digest and digest not in new[name].digests:
            old.setdefault(name, []).append((moment.isoformat() if moment else "", digest, key))

    for key, record in store.records().items() if new else ():
        add(record.model, record.code, record.finished_at, key)
        for scenario in record.dataset.scenario.components:
            if scenario.front_end:
                add(scenario.front_end.name, scenario.front_end.digest, record.finished_at, key)
    tested = [key for entry in new.values() for key in entry.trained]
    for table in store.cell_tables(dict.fromkeys(tested), ["run", "test_scenario", "evaluated_at"]):
        for row in table.group_by(["run", "test_scenario"]).aggregate([("evaluated_at", "max")]).to_pylist():
            front_end = json.loads(row["test_scenario"]).get("front_end")
            if front_end:
                add(front_end["name"], front_end["digest"], row["evaluated_at_max"], row["run"])
    return old
