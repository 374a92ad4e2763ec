"""The study file: a short YAML that names runs and cells, validated to the last field.

A study owns nothing; it selects. Editing it and running it again computes what it now names and the store lacks.
Where fields of it are to be searched, it is a `SearchStudy`, and every proposal for them a plain `Study`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from amc_core.errors import AmcError, require_known, suggest
from amc_core.models import MODELS, shortest_length
from amc_core.modulations import MODULATION_SETS, modulation_names
from amc_core.run import Dataset, Recipe, Run
from amc_core.scenario import AUGMOD, AUGMOD_OFFSETS, CHANNELS, SCENARIO_FIELDS, Mixture, Scenario
from sweeps.grid import LARGEST, Grid, model_grid, model_names, recipe_grid, require_one_meaning, scenario_grid
from sweeps.space import Space, Values, read_space

SHIPPED = Path(__file__).parent / "studies"

# What `--scale` sets (trials of a search only) where the study has no `scales` entry of that name; `paper` is P1 §IV-C.
SCALES = {
    "smoke": {"instances": 10, "epochs": 1, "trials": 3},
    "small": {"instances": 100, "epochs": 20},
    "paper": {"instances": 1000, "epochs": 80},
}

_MOST_VALUES = 20_000  # in a file
_USUAL = Scenario()


def gpu_share(gpus: float) -> float:
    """GPUs of a trial: a fraction of one, or a whole number. Raises AmcError for anything else."""
    if not 0 <= gpus < 1e6 or (gpus > 1 and gpus != int(gpus)):
        raise AmcError(f"{gpus:g} GPUs are not allowed: give a fraction of one, or a whole number")
    return gpus


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _grids(content: Any, info: ValidationInfo, train: tuple[Grid, ...] | None = None) -> tuple[Grid, ...]:
    grids = content if isinstance(content, list) else [content]
    if not grids:
        raise AmcError("the grid is empty: name scenario fields and their values")
    read = tuple(scenario_grid(grid, info.context["folder"], train) for grid in grids)
    settings = sum(grid.size for grid in read)
    if settings > LARGEST:
        raise AmcError(f"the grid has {settings:,} scenarios: at most {LARGEST:,} are allowed")
    return read


def _train_grids(content: Any, info: ValidationInfo) -> tuple[Grid, ...]:
    read = _grids(content, info)
    info.context.setdefault("train", []).extend(read)  # which test grids may vary over
    return read


def _test_grids(content: Any, info: ValidationInfo) -> tuple[Grid, ...]:
    return _grids(content, info, tuple(info.context.get("train", ())))


_TrainGrids = Annotated[tuple[Any, ...], BeforeValidator(_train_grids)]
_TestGrids = Annotated[tuple[Any, ...], BeforeValidator(_test_grids)]
_Recipes = Annotated[tuple[dict, ...], BeforeValidator(recipe_grid)]


class ResourcesSection(_Section):
    cpus_per_trial: int = Field(1, ge=1)
    gpus_per_trial: float | None = Field(None, ge=0, allow_inf_nan=False)

    @field_validator("gpus_per_trial", mode="after")
    @classmethod
    def _whole_above_one(cls, value: float | None) -> float | None:
        return None if value is None else gpu_share(value)


class ScaleSection(_Section):
    instances: int | None = Field(None, ge=10, le=10_000_000)
    epochs: int | None = Field(None, ge=1, le=1_000_000)
    trials: int | None = Field(None, ge=1, le=1_000_000)


_Length = Annotated[int, Field(ge=8, le=1 << 20)]


class TransferSection(_Section):
    """A stage that starts from every run above it, or from those of some models."""

    models: Annotated[tuple[str, ...], BeforeValidator(model_names)] = ()
    train: _TrainGrids = (Grid(),)
    recipe: _Recipes = ({},)
    test: _TestGrids | None = None


OBJECTIVES = {"unseen_accuracy": "maximize", "accuracy": "maximize", "parameters": "minimize"}


class SearchSection(_Section):
    """How the dimensions of a study are searched.

    trials: how many proposals are to be evaluated; those that a pruner stops count. storage: the URL of a database that
    keeps them, None for a journal file in the store.
    """

    trials: int | None = Field(None, ge=1, le=1_000_000)
    sampler: Literal["tpe", "random", "cmaes", "grid"] = "tpe"
    pruner: Literal["none", "asha", "median", "hyperband"] = "none"
    objective: tuple[Literal[tuple(OBJECTIVES)], ...] = ("unseen_accuracy",)
    seed: int = Field(0, ge=0, lt=1 << 32)
    storage: str | None = Field(None, pattern=r"^[a-z0-9+]+://.")

    @field_validator("objective", mode="before")
    @classmethod
    def _objectives(cls, value: Any) -> Any:
        listed = value if isinstance(value, list) else [value]
        if not listed or any(entry in listed[:place] for place, entry in enumerate(listed)):
            raise AmcError(f"{value!r} is not allowed: name one or more of {', '.join(OBJECTIVES)}, each once")
        return listed


class StudyFile(_Section):
    """The keys of a study file."""

    description: str = ""
    modulations: tuple[str, ...] = Field(validate_default=True, default="complex")
    snr_db: tuple[Annotated[float, Field(ge=-200, le=200)], ...] = tuple(float(snr) for snr in range(-6, 19, 2))
    instances: int = Field(1000, ge=10, le=10_000_000)
    length: tuple[_Length, ...] = (1024,)
    test_length: tuple[_Length, ...] = ()
    dataset_seed: int = Field(0, ge=0, lt=1 << 32)
    models: tuple[tuple[str, dict[str, Any]], ...]
    recipe: _Recipes = ({},)
    seeds: tuple[Annotated[int, Field(ge=0, lt=1 << 32)], ...] = (0,)
    train: _TrainGrids = (Grid(),)
    test: _TestGrids = (Grid(),)
    transfer: tuple[TransferSection, ...] = ()
    scales: dict[str, ScaleSection] = {}
    resources: ResourcesSection = ResourcesSection()
    search: SearchSection | None = None

    @field_validator("modulations", mode="before")
    @classmethod
    def _modulations(cls, value: Any) -> tuple[str, ...]:
        if not isinstance(value, str | list):
            raise AmcError(f"{value!r} is not allowed: name a set ({', '.join(MODULATION_SETS)}) or list modulations")
        names = modulation_names(value)
        if len(names) < 2:
            raise AmcError(f"{list(names)} is not allowed: a classifier needs at least two")
        return names

    @field_validator("snr_db", mode="before")
    @classmethod
    def _snr_range(cls, value: Any) -> Any:
        if isinstance(value, dict):
            small = all(isinstance(x, int | float) and -1e3 <= x <= 1e3 for x in value.values())
            if set(value) != {"from", "to", "step"} or not small:
                raise AmcError("a range has three numbers of dB: {from: -6, to: 18, step: 2}")
            if value["step"] <= 0 or value["to"] < value["from"] or value["to"] - value["from"] > 1000 * value["step"]:
                raise AmcError("a range goes upwards in at most 1000 steps: {from: -6, to: 18, step: 2}")
            steps = int((value["to"] - value["from"]) / value["step"] + 1e-9)
            return tuple(value["from"] + value["step"] * k for k in range(steps + 1))
        return value if isinstance(value, list) else (value,)

    @field_validator("seeds", "length", "test_length", "transfer", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return value if isinstance(value, list) else (value,)

    @field_validator("snr_db", "seeds", "models", "length", "test_length", mode="after")
    @classmethod
    def _distinct(cls, value: tuple) -> tuple:
        if not value:
            raise AmcError("give at least one")
        repeated = [entry for place, entry in enumerate(value) if entry in value[:place]]
        if repeated:
            raise AmcError(f"{repeated[0]!r} stands there twice")
        return value

    @field_validator("models", mode="before")
    @classmethod
    def _models(cls, value: Any) -> Any:
        return tuple(entry for part in (value if isinstance(value, list) else [value]) for entry in model_grid(part))


@dataclass(frozen=True)
class Study:
    """A validated study at one scale: the runs it names and, for each of them, the test datasets."""

    name: str
    file: StudyFile
    scale: str | None
    instances: int
    epochs_factor: float  # what the scale makes of every recipe's epochs
    scaled_trials: int | None  # what the scale makes of a search's trials

    def dataset(self, scenario: Scenario | Mixture, length: int) -> Dataset:
        """The instances of a scenario that this study trains on or tests on."""
        file = self.file
        return Dataset(scenario, file.modulations, file.snr_db, self.instances, length, file.dataset_seed)

    def runs(self) -> list[Run]:
        """Every training run, each once and after the run that it starts from.

        Models × lengths × training scenarios × recipes × seeds; then, for each stage of transfer, those of the
        runs before it, earlier stages included, that it takes × training scenarios × recipes.
        """
        return [run for run, _ in self._named.values()]

    def tests(self, run: Run) -> tuple[Dataset, ...]:
        """The test datasets of a run, each once; fields that the test grid leaves out are those of its training."""
        _, grids = self._named[run.key]
        parts = [self._expanded(grid, base, run) for grid in grids for base in run.dataset.scenario.components]
        if len(parts) == 1:
            return parts[0]
        return tuple({test.key: test for part in parts for test in part}.values())

    @cached_property
    def _named(self) -> dict[str, tuple[Run, tuple[Grid, ...]]]:
        """Run key → the run, and the grids of its test scenarios."""
        file, named = self.file, {}
        stages = (grid for stage in file.transfer for grid in (*stage.train, *(stage.test or ())))
        require_one_meaning(grid for grids in (file.train, file.test, stages) for grid in grids)
        training = [
            self.dataset(scenario, length)
            for length in file.length
            for grid in file.train
            for scenario in grid.scenarios()
        ]
        recipes = [Recipe(**self._scaled({"epochs": Recipe.epochs} | fields)) for fields in file.recipe]
        for (model, hyperparameters), dataset, recipe, seed in product(file.models, training, recipes, file.seeds):
            run = Run(model, dataset, recipe, seed, hyperparameters)
            named[run.key] = run, file.test
        parents = [run for run, _ in named.values() if MODELS[run.model].epochs]
        for place, stage in enumerate(file.transfer):
            try:
                stage_runs = {run.key: run for run in self._transferred(stage, parents)}
                for run in stage_runs.values():
                    tested = named[run.key][1] if run.key in named else ()
                    named[run.key] = run, (*tested, *(file.test if stage.test is None else stage.test))
                parents += stage_runs.values()
            except AmcError as error:
                raise AmcError(f"transfer.{place}: {error}") from None
        return named

    def _transferred(self, stage: TransferSection, parents: list[Run]) -> Iterator[Run]:
        """The runs of a stage: what it leaves out of scenario and recipe is as in the run that it starts from."""
        for parent in parents:
            if stage.models and parent.model not in stage.models:
                continue
            start = parent.dataset
            for grid, fields in product(stage.train, stage.recipe):
                recipe = replace(parent.recipe, **self._scaled(fields))
                for scenario in grid.scenarios_from(start.scenario):
                    dataset = self.dataset(scenario, start.length)
                    yield Run(parent.model, dataset, recipe, parent.seed, parent.hyperparameters, parent)

    def _scaled(self, fields: dict) -> dict:
        """Fields of a recipe, its epochs as the scale has them."""
        return fields | {name: max(1, round(fields[name] * self.epochs_factor)) for name in fields if name == "epochs"}

    def _expanded(self, grid: Grid, base: Scenario, run: Run) -> tuple[Dataset, ...]:
        """The test datasets of a grid, for all runs that differ only in what the grid decides made once."""
        lengths = self.file.test_length or (run.dataset.length,)
        if lengths != (run.dataset.length,) and not MODELS[run.model].any_length:
            raise AmcError(f"test_length: {run.model} classifies instances of the length it was trained on only")
        if min(lengths) < (shortest := shortest_length(run.model, run.hyperparameters)):
            raise AmcError(f"test_length: {min(lengths)} is too short: {run.model} needs at least {shortest} samples")
        usual = {field: getattr(_USUAL, field) for field in grid.given}
        place = grid, replace(base, **usual), lengths
        if place not in self._expansions:
            found = dict.fromkeys(grid.scenarios(base))
            self._expansions[place] = tuple(self.dataset(scenario, length) for scenario in found for length in lengths)
        return self._expansions[place]

    @cached_property
    def _expansions(self) -> dict[tuple, tuple[Dataset, ...]]:
        return {}


@dataclass(frozen=True)
class SearchStudy(Study):
    """A study whose models and recipes are searched; its runs are those of the proposals made so far.

    file: of the first values of all dimensions; what is no dimension is the same in every proposal.
    """

    space: Space
    folder: Path
    proposals: tuple[Study, ...] = ()

    @property
    def search(self) -> SearchSection:
        return self.file.search

    @cached_property
    def _named(self) -> dict[str, tuple[Run, tuple[Grid, ...]]]:
        return {key: named for study in self.proposals for key, named in study._named.items()}

    @cached_property
    def ends(self) -> tuple[Study, ...]:
        """A proposal for every end of every dimension, the others at their first values."""
        return tuple(self.proposal(values) for _, values in self.space.ends())

    @property
    def trials(self) -> int:
        """How many proposals are to be evaluated."""
        trials, grid = (
            self.scaled_trials or self.search.trials,
            self.search.sampler == "grid" and len(self.space.grid()),
        )
        return min(trials or grid, grid) if grid else trials

    def proposal(self, values: Values) -> Study:
        """The plain study that these values of the dimensions make. Raises AmcError where they do not go together."""
        try:
            file = _validated(self.space.fill(values), self.folder)
            study = Study(self.name, file, self.scale, self.instances, self.epochs_factor, None)
            for run in study.runs():
                study.tests(run)
        except ValidationError as error:
            raise AmcError(_sentence(error)) from None
        return study

    @cached_property
    def key(self) -> str:
        """16 hex digits that identify the search: the space, what is fixed, and how proposals are made and judged.

        `trials` and `storage` are left out, so that a search can be extended and its storage be moved.
        """
        fixed = {}
        for study in self.ends:
            fixed |= {run.key: [run.cell_key(test) for test in study.tests(run)] for run in study.runs()}
        space = [replace(dimension, place=()).__dict__ for dimension in self.space.dimensions]
        how = self.search.model_dump(exclude={"trials", "storage"})
        text = json.dumps([space, how, fixed], sort_keys=True, default=str)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def require_searchable(self) -> None:
        """Try every dimension at its ends. Raises AmcError for what a search could not do, before any work."""
        search = self.search
        if search.sampler == "grid":
            self.space.grid()
        elif search.trials is None:
            raise AmcError("search.trials is missing: say how many proposals are to be evaluated")
        numbers = [d for d in self.space.dimensions if d.kind != "choice" and d.low < d.high and not d.when]
        if search.sampler == "cmaes" and (len(numbers) < 2 or len(search.objective) > 1):
            raise AmcError(
                "search.sampler: cmaes needs two or more unconditional int or float dimensions, one objective"
            )
        if search.pruner != "none" and (len(search.objective) > 1 or "accuracy" not in search.objective[0]):
            raise AmcError(f"search.pruner: {search.pruner} compares accuracies: it needs one objective, an accuracy")
        for words, values in self.space.ends():
            try:
                study = self.proposal(values)
            except AmcError as error:
                raise AmcError(f"{words}{error}") from None
            if search.pruner != "none" and len(study.runs()) > 1:
                raise AmcError(
                    f"search.pruner: {search.pruner} stops a run by its epochs, and a proposal has {len(study.runs())} "
                    "runs here: pruning needs one training scenario, one seed and no transfer"
                )
            if "unseen_accuracy" in search.objective and not any(unseen_tests(study, run) for run in last_runs(study)):
                raise AmcError(f"search.objective: {words}no test scenario is unseen: add one that is not trained on")


def last_runs(study: Study) -> list[Run]:
    """The runs from which no other of the study starts: those after transfer, where there is any."""
    runs = study.runs()
    started = {run.parent.key for run in runs if run.parent}
    return [run for run in runs if run.key not in started]


def unseen_tests(study: Study, run: Run) -> list[Dataset]:
    """The test datasets of a run in scenarios that neither it nor a run that it descends from was trained in."""
    seen, trained = set(), run
    while trained:
        seen |= set(trained.dataset.scenario.components)
        trained = trained.parent
    return [test for test in study.tests(run) if test.scenario not in seen]


def load_study(name: str, scale: str | None = None) -> Study:
    """Read and validate a study: a path, or the name of one that is shipped with the package.

    Raises AmcError with one sentence that names the file, the field, the value and what is allowed.
    """
    try:
        path = _find(name)
    except (OSError, ValueError) as error:
        raise (
            error if isinstance(error, AmcError) else AmcError(f"study {name[:80]!r} is not the name of a file")
        ) from None
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.load(text, Loader=_UniqueKeyLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise AmcError(f"{path}: the study cannot be read: {error}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise AmcError(f"{path}: not a YAML file: {' '.join(str(error).split())}") from None
    if _size(content) > _MOST_VALUES:
        raise AmcError(f"{path}: the study is too large: it has more than {_MOST_VALUES:,} values")
    if not isinstance(content, dict):
        raise AmcError(f"{path}: a study is a mapping of keys to values, such as 'models: [cnn1d]'")
    try:
        space, folder = read_space(content), path.absolute().parent
        if space.dimensions:
            return _search_study(path.stem, space, folder, scale)
        study = _at_scale(path.stem, [_validated(content, folder)], scale)
        for run in study.runs():
            study.tests(run)
        _require_starts(study.file)
    except ValidationError as error:
        raise AmcError(f"{path}: {_shortened(_sentence(error))}") from None
    except AmcError as error:
        raise AmcError(f"{path}: {_shortened(str(error))}") from None
    return study


def _require_starts(file: StudyFile) -> None:
    """Raise AmcError for a stage of transfer that no model of the study can start."""
    trained = {name for name, _ in file.models if MODELS[name].epochs}
    for place, stage in enumerate(file.transfer):
        if not trained & set(stage.models or trained):
            raise AmcError(f"transfer.{place}: no run above can start it: the study has none of its models")


def parse_scenario(text: str) -> Scenario:
    """A scenario as it stands on a command line: a channel, a shipped scenario, or fields in YAML's braces."""
    named = {name: Scenario(channel=name) for name in CHANNELS} | {"augmod": AUGMOD, "augmod_offsets": AUGMOD_OFFSETS}
    if text in named:
        return named[text]
    try:
        fields = yaml.load(text, Loader=_UniqueKeyLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise AmcError(f"scenario {text!r} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(fields, dict):
        raise AmcError(f"scenario {text!r} is not known{suggest(text, named)}, nor fields such as '{{upsampling: 4}}'")
    require_known("scenario field", fields, SCENARIO_FIELDS)
    return Scenario(**fields)


def _validated(content: dict, folder: Path) -> StudyFile:
    return StudyFile.model_validate(content, context={"folder": folder})


def _search_study(name: str, space: Space, folder: Path, scale: str | None) -> SearchStudy:
    files = [_validated(space.fill(values), folder) for _, values in space.ends()]
    first = _at_scale(name, files, scale)
    study = SearchStudy(**first.__dict__, space=space, folder=folder)
    study.require_searchable()
    return study


def _at_scale(name: str, files: list[StudyFile], scale: str | None) -> Study:
    """The first of the files as a study; the longest recipe of all has the epochs that the scale says."""
    file = files[0]
    sizes = {key: dict(values) for key, values in SCALES.items()}
    for key, section in file.scales.items():
        sizes.setdefault(key, {}).update(section.model_dump(exclude_none=True))
    if scale is not None and scale not in sizes:
        raise AmcError(f"scale {scale!r} is not known{suggest(scale, sizes)}")
    chosen = sizes[scale] if scale else {}
    longest = max(fields.get("epochs", Recipe.epochs) for file in files for fields in file.recipe)
    factor = chosen.get("epochs", longest) / longest
    return Study(name, file, scale, chosen.get("instances", file.instances), factor, chosen.get("trials"))


def _find(name: str) -> Path:
    shipped = SHIPPED / f"{name}.yaml"
    if Path(name).is_file():
        return Path(name)
    if shipped.is_file():
        return shipped
    names = sorted(path.stem for path in SHIPPED.glob("*.yaml"))
    raise AmcError(f"study {name!r} is neither a file nor a shipped study{suggest(name, names)}")


def _size(content: Any) -> int:
    """How many values a document has, aliases followed, counted no further than is too many."""
    waiting, count = [content], 0
    while waiting and count <= _MOST_VALUES:
        value = waiting.pop()
        count += 1
        if isinstance(value, dict | list):
            waiting += [*value.keys(), *value.values()] if isinstance(value, dict) else value
    return count


def _shortened(message: str) -> str:
    return message if len(message) <= 600 else f"{message[:400]} … {message[-190:]}"


class _UniqueKeyLoader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice instead of keeping the last."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        repeated = next((key for place, key in enumerate(keys) if key in keys[:place]), None)
        if repeated is not None:
            raise yaml.YAMLError(f"the key {repeated!r} stands there twice (line {node.start_mark.line + 1})")
        return super().construct_mapping(node, deep)


def _sentence(error: ValidationError) -> str:
    """The first complaint of Pydantic as one sentence: where, what, and what is allowed."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        sections = {"transfer": TransferSection, "resources": ResourcesSection, "scales": ScaleSection}
        sections["search"] = SearchSection
        section = sections.get(first["loc"][0], StudyFile) if len(first["loc"]) > 1 else StudyFile
        return f"key {place!r} is not known{suggest(first['loc'][-1], section.model_fields)}"
    if first["type"] == "missing":
        return f"key {place!r} is missing: a study needs it"
    cause = first.get("ctx", {}).get("error")
    if cause is not None:
        return f"{place}: {cause}"
    message = first["msg"]
    return f"{place}: {first['input']!r} is not allowed: {message[0].lower()}{message[1:]}"
