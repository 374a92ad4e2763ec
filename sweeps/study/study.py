"""A study: the runs and cells that a study file names.

A study owns no results; it selects them. After an edit, running it computes what it now names and the store lacks.
If fields of it are searched, it is a `SearchStudy`, and every proposal is a plain `Study`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from amc_core.coverage import require_likelihood
from amc_core.errors import AmcError
from amc_core.fingerprint import planned
from amc_core.models import model_spec, shortest_length
from amc_core.run import Dataset, Recipe, Run
from amc_core.scenario import FILE_FIELDS, Mixture, Scenario
from amc_core.settings import is_unseen
from sweeps.search.objectives import OBJECTIVES
from sweeps.study.file import (
    FIRST_STAGE,
    ResourcesSection,
    SearchSection,
    StudyFile,
    TransferSection,
    sentence,
    validated,
)
from sweeps.study.grid import Grid, require_one_meaning
from sweeps.study.recorded import recorded_test, trained_recordings
from sweeps.study.space import Space, Values

SCALED = {"epochs": Recipe.epochs, "batch_size": Recipe.batch_size}  # fields of a recipe, and their defaults
_USUAL = Scenario()
_PLAIN = Grid()


def strided(snrs_db: tuple[float, ...], stride: int) -> tuple[float, ...]:
    """Every SNR at a distance of `stride` from the last one."""
    return snrs_db[::-stride][::-1]


class _Named(NamedTuple):
    """A run of a study, the grids of its test scenarios, and the stage that it belongs to."""

    run: Run
    tests: tuple[Grid, ...]
    stage: str


class _TestRequest(NamedTuple):
    """See `Study._request`. known: recordings that trained the run, see `trained_recordings`."""

    grid: Grid
    base: Scenario
    lengths: tuple[int, ...]
    known: tuple[tuple[str, int], ...]
    knows_setting: bool


@lru_cache(maxsize=4096)  # which many runs ask for
def _undecided(grid: Grid, base: Scenario, paths: tuple[str, ...]) -> Scenario:
    """A training scenario in which the fields that a test grid gives have their defaults.

    paths: of its files; they are part of the cache's key, since the same content may have several paths.
    """
    return replace(base, **{field: getattr(_USUAL, field) for field in grid.given})


@dataclass(frozen=True)
class Study:
    """A validated study at one scale: the runs it names and, for each of them, the test datasets."""

    name: str
    file: StudyFile
    scale: str | None
    instances: int
    snrs_db: tuple[float, ...]
    factors: dict[str, float]  # field of every recipe → the factor of the scale
    snr_stride: int  # of the scale, for a test's own SNRs
    scale_recipe: dict  # fields of the scale for training, where a recipe has none

    def dataset(self, scenario: Scenario | Mixture, length: int, test: Grid = _PLAIN) -> Dataset:
        """The dataset of a scenario for training, or for a test with the grid's own instances, SNRs and modulations."""
        file, own = self.file, test.instances
        if own is not None and self.instances != file.instances:  # a scale changes both by the same factor
            own = max(1, round(own * self.instances / file.instances))
        return Dataset(
            scenario,
            file.modulations if test.modulations is None else test.modulations,
            self.snrs_db if test.snrs_db is None else strided(test.snrs_db, self.snr_stride),
            self.instances,
            length,
            file.dataset_seed,
            own,
            file.split,
        )

    def runs(self) -> list[Run]:
        """Every training run, each once and after the run that it starts from.

        The runs are models × lengths × training scenarios × recipes × seeds. Each stage of transfer adds: runs that it
        starts from (of training and earlier stages) × its training scenarios × its recipes.
        """
        return [named.run for named in self._named.values()]

    def stage_of(self, run: Run) -> str:
        """The name of a run's stage: "training", or that of the first transfer stage that names it."""
        return self._named[run.key].stage

    def tests(self, run: Run) -> tuple[Dataset, ...]:
        """The test datasets of a run, each once; fields that the test grid leaves out are as in its training."""
        grids, bases = self._named[run.key].tests, run.dataset.scenario.components
        requests = tuple(self._request(grid, base, run) for grid in grids for base in bases)
        if len(requests) == 1:
            return self._expanded(*requests)
        if requests not in self._expansions:
            tests = (test for request in requests for test in self._expanded(request))
            self._expansions[requests] = tuple({test.key: test for test in tests}.values())
        return self._expansions[requests]

    def last_runs(self) -> list[Run]:
        """The runs from which no other of the study starts: those after transfer, if there is any."""
        runs = self.runs()
        started = {run.parent.key for run in runs if run.parent}
        return [run for run in runs if run.key not in started]

    def unseen_tests(self, run: Run) -> list[Dataset]:
        """The test datasets of a run in scenarios on which neither it nor a run that it descends from was trained."""
        return [test for test in self.tests(run) if is_unseen(test, run)]

    @cached_property
    def _named(self) -> dict[str, _Named]:
        """Run key → the run, the grids of its tests, and its stage."""
        file, named = self.file, {}
        require_one_meaning(file.grids)
        training = [
            self.dataset(scenario, length)
            for length in file.length
            for grid in file.train
            for scenario in grid.scenarios()
        ]
        for model, hyperparameters, own in file.models:
            recipes = [self._recipes(Recipe(**self.scale_recipe), SCALED | fields | own) for fields in file.recipe]
            for dataset, recipe, seed in product(training, recipes, file.seeds):
                run = Run(model, dataset, recipe[dataset.recorded], seed, hyperparameters)
                named[run.key] = _Named(run, file.test, FIRST_STAGE)
        parents = [entry.run for entry in named.values() if model_spec(entry.run.model).epochs]
        for index, stage in enumerate(file.transfer):
            try:
                chosen = [run for run in parents if not stage.after or named[run.key].stage in stage.after]
                stage_runs = {run.key: run for run in self._transferred(stage, chosen)}
                for run in stage_runs.values():
                    tested = file.test if stage.test is None else stage.test
                    known = named.get(run.key, _Named(run, (), stage.name))
                    named[run.key] = known._replace(tests=(*known.tests, *tested))
                parents += stage_runs.values()
            except AmcError as error:
                raise AmcError(f"transfer.{index}: {error}") from None
        return named

    def _transferred(self, stage: TransferSection, parents: list[Run]) -> Iterator[Run]:
        """The runs of a stage; fields of scenario and recipe that it leaves out are as in the run it starts from."""
        for parent in parents:
            if stage.models and parent.model not in stage.models:
                continue
            start = parent.dataset
            for grid, fields in product(stage.train, stage.recipe):
                recipes = self._recipes(parent.recipe, fields)
                for scenario in grid.scenarios_from(start.scenario):
                    dataset = self.dataset(scenario, start.length)
                    recipe = recipes[dataset.recorded]
                    yield Run(parent.model, dataset, recipe, parent.seed, parent.hyperparameters, parent)

    def _recipes(self, default: Recipe, fields: dict) -> tuple[Recipe, Recipe]:
        """`default` with these fields, multiplied by the factors of the scale, for simulated and for recorded training.

        New instances every epoch that only `default` asks for are dropped with a share of the labels, and for
        recordings.
        """
        factors = {name: factor for name, factor in self.factors.items() if name in fields}
        fields = fields | {name: max(1, round(fields[name] * factor)) for name, factor in factors.items()}
        same = replace(default, **{"fresh": False} | fields)
        return same if fields.get("label_fraction", 1) < 1 else replace(default, **fields), same

    def _request(self, grid: Grid, base: Scenario, run: Run) -> _TestRequest:
        """What the test datasets of a run by one grid depend on; runs with equal requests share them."""
        lengths = self.file.test_length or (run.dataset.length,)
        if lengths != (run.dataset.length,):
            if not model_spec(run.model).any_length:
                raise AmcError(
                    f"test_length: {run.model} classifies only instances of its training's length, "
                    f"{run.dataset.length} samples"
                )
            if min(lengths) < (shortest := shortest_length(run.model, run.hyperparameters)):
                raise AmcError(
                    f"test_length: {min(lengths)} is too short: {run.model} needs at least {shortest} samples"
                )
        known = tuple(trained_recordings(run).items())
        paths = tuple(str(getattr(base, name)) for name in FILE_FIELDS)
        return _TestRequest(grid, _undecided(grid, base, paths), lengths, known, model_spec(run.model).knows_setting)

    def _expanded(self, request: _TestRequest) -> tuple[Dataset, ...]:
        """The test datasets of a grid."""
        if request not in self._expansions:
            scenarios, known = dict.fromkeys(request.grid.scenarios(request.base)), dict(request.known)
            for scenario in scenarios if request.knows_setting else ():
                require_likelihood(scenario)
            self._expansions[request] = tuple(
                self._test(scenario, length, request.grid, known)
                for scenario in scenarios
                for length in request.lengths
            )
        return self._expansions[request]

    def _test(self, scenario: Scenario, length: int, grid: Grid, known: dict[str, int]) -> Dataset:
        """A test dataset. At a scale, a test of a recording has at most as many instances as a simulated one."""
        test = self.dataset(scenario, length, grid)
        if not scenario.recording:
            return test
        most = self.instances if grid.instances is None else test.test_instances
        scaled = grid.instances is not None or self.instances != self.file.instances
        return recorded_test(test, known, grid.snrs_db is not None, most if scaled else None)

    @cached_property
    def _expansions(self) -> dict[tuple, tuple[Dataset, ...]]:
        return {}

    @property
    def resources(self) -> ResourcesSection:
        """The processor cores and GPUs that a trial takes."""
        return self.file.resources


@dataclass(frozen=True)
class SearchStudy(Study):
    """A study whose models, recipes or training settings are searched; its runs are those of the proposals so far.

    file: with every dimension at its first end; all other keys are the same in every proposal.
    """

    space: Space
    folder: Path
    scaled_proposals: int | None  # number of proposals of the scale
    digests: dict[
        str, str
    ]  # path → digest of each file, so that every proposal, on every machine, has the same content
    proposals: tuple[Study, ...] = ()

    @property
    def search(self) -> SearchSection:
        return self.file.search

    @cached_property
    def _named(self) -> dict[str, _Named]:
        return {key: named for study in self.proposals for key, named in study._named.items()}

    @cached_property
    def ends(self) -> tuple[Study, ...]:
        """A proposal for every end of every dimension, with the others at their first ends."""
        return tuple(self.proposal(values) for _, values in self.space.ends())

    @property
    def wanted(self) -> int:
        """How many proposals a complete search has."""
        wanted = self.scaled_proposals or self.search.proposals
        if self.search.sampler != "grid":
            return wanted
        combinations = len(self.space.grid())
        return min(wanted or combinations, combinations)

    def proposal(self, values: Values) -> Study:
        """The plain study with these values of the dimensions. Raises AmcError if they do not go together."""
        try:
            with planned(self.digests):
                file = validated(self.space.fill(values), self.folder, self.file.code)
            study = Study(**{name: getattr(self, name) for name in Study.__dataclass_fields__} | {"file": file})
            for run in study.runs():
                study.tests(run)
        except ValidationError as error:
            raise AmcError(sentence(error)) from None
        return study

    @cached_property
    def key(self) -> str:
        """16 hex digits that identify the search: its space, fixed keys, sampler, pruner, objective and seed.

        `proposals` and `storage` do not change the key, so that a search can be extended and its storage moved.
        """
        fixed = {}
        for study in self.ends:
            fixed |= {run.key: [run.cell_key(test) for test in study.tests(run)] for run in study.runs()}
        space = [replace(dimension, place=()).__dict__ for dimension in self.space.dimensions]
        how = self.search.model_dump(exclude={"proposals", "storage"})
        text = json.dumps([space, how, fixed], sort_keys=True, default=str)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def require_searchable(self) -> None:
        """Try every dimension at its ends. Raises AmcError if the search could not be run."""
        search = self.search
        if search.sampler == "grid":
            self.space.grid()
        elif search.proposals is None:
            raise AmcError("search.proposals is missing: give the number of proposals")
        numbers = [d for d in self.space.dimensions if d.kind != "choice" and d.low < d.high and not d.when]
        if search.sampler == "cmaes" and (len(numbers) < 2 or len(search.objective) > 1):
            raise AmcError(
                "search.sampler: cmaes needs at least two int or float dimensions without conditions, and one objective"
            )
        tested = [name for name in search.objective if OBJECTIVES[name].tests]
        if search.pruner != "none" and not len(search.objective) == len(tested) == 1:
            raise AmcError(f"search.pruner: {search.pruner} needs exactly one objective, which has to be an accuracy")
        for words, values in self.space.ends():
            try:
                study = self.proposal(values)
            except AmcError as error:
                raise AmcError(f"{words}{error}") from None
            if search.pruner != "none" and len(study.runs()) > 1:
                raise AmcError(
                    f"search.pruner: {search.pruner} needs proposals of one run each, but here they have "
                    f"{len(study.runs())} runs: use one training scenario, one seed and no transfer, or no pruner"
                )
            for name in search.objective:
                tests = OBJECTIVES[name].tests
                pairs = [(run, test) for run in study.last_runs() for test in tests(study, run)] if tests else []
                if tests and not pairs:
                    raise AmcError(
                        f"search.objective: {words}{name} has no test scenario: add an untrained one to test"
                    )
                if tests and all(set(run.dataset.modulations).isdisjoint(test.modulations) for run, test in pairs):
                    raise AmcError(f"search.objective: {words}{name} has no test of a trained modulation")


@dataclass(frozen=True)
class Studies:
    """Several studies at one scale, planned and run as one: runs and cells that they share are computed once."""

    parts: tuple[Study, ...]

    @property
    def name(self) -> str:
        """The number of studies, in words."""
        return f"{len(self.parts)} studies"

    @property
    def scale(self) -> str | None:
        return self.parts[0].scale

    @property
    def resources(self) -> ResourcesSection:
        """The largest number of cores, and of GPUs, that a trial of any of the studies takes."""
        sections = [part.resources for part in self.parts]
        gpus = [section.gpus_per_trial for section in sections if section.gpus_per_trial is not None]
        return ResourcesSection(
            cpus_per_trial=max(section.cpus_per_trial for section in sections), gpus_per_trial=max(gpus, default=None)
        )

    def runs(self) -> list[Run]:
        """Every training run, each once and after the run that it starts from."""
        return list({run.key: run for part in self.parts for run in part.runs()}.values())

    def tests(self, run: Run) -> tuple[Dataset, ...]:
        """The test datasets of a run in all of the studies that name it, each once."""
        parts = [part.tests(run) for part in self.naming(run)]
        return parts[0] if len(parts) == 1 else tuple({test.key: test for part in parts for test in part}.values())

    def stage_of(self, run: Run) -> str:
        """The name of a run's stage in the first of the studies that name it."""
        return self.naming(run)[0].stage_of(run)

    def naming(self, run: Run) -> list[Study]:
        """The studies that name a run."""
        return [part for part in self.parts if run.key in part._named]
