"""What a launch and a plan say of code of the user's own: whether it works, and whether it has changed."""

from __future__ import annotations

from amc_core.dry_run import Attempt, FrontEndAttempt, require_working
from amc_core.own import OwnCode
from amc_core.quantities import many
from amc_core.run import Dataset, Run
from sweeps.planning import Plan
from sweeps.store import RunRecord, Store
from sweeps.study import SearchStudy, Studies, Study

_MOST_TRIED = 12  # hyperparameters of a network, or parameters of a front end; the first and the last among them


def require_working_code(study: Study | Studies, plan: Plan) -> None:
    """Try every network and front end of the user's own that is to be used. Raises AmcError: see `dry_run`."""
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
    return [attempts[place * (len(attempts) - 1) // (_MOST_TRIED - 1)] for place in range(_MOST_TRIED)]


def changes_of_code(plan: Plan, store: Store) -> list[str]:
    """A sentence for each network of the user's own whose runs are missing and that the store has of another text.

    "my_net.py changed since 3f2a…: 12 runs are new, the old stay queryable". The old text is read, never imported.
    """
    missing: dict[str, list[Run]] = {}
    for entry in plan.runs:
        if isinstance(entry.run.model, OwnCode) and not entry.trained:
            missing.setdefault(str(entry.run.model), []).append(entry.run)
    if not missing:
        return []
    old: dict[str, dict[str, RunRecord]] = {}
    for key, record in store.records().items():
        if record.code and any(record.code != run.code for run in missing.get(record.model, ())):
            old.setdefault(record.model, {})[key] = record
    told = []
    for name, runs in missing.items():
        if name in old:
            key, last = max(old[name].items(), key=lambda item: (item[1].finished_at is not None, item[1].finished_at))
            before, now = store.run(key).code(), runs[0].model.sources
            changed = sorted(path for path in {*before, *now} if before.get(path) != now.get(path))
            files = ", ".join(changed if before else [runs[0].model.path])
            new = f"{many(len(runs), 'run')} {'is' if len(runs) == 1 else 'are'} new"
            told.append(f"{files} changed since {last.code[:4]}…: {new}, the old stay queryable.")
    return told
