"""The study file: a short YAML that names runs and cells, validated to the last field.

A study owns nothing; it selects. Editing it and running it again computes what it now names and the store lacks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from amc_core.errors import AmcError, suggest
from amc_core.models import validate_hyperparameters
from amc_core.modulations import MODULATION_SETS, modulation_names
from amc_core.run import Dataset, Recipe, Run
from amc_core.scenario import AUGMOD, AUGMOD_OFFSETS, CHANNELS, FILE_FIELDS, SCENARIO_FIELDS, Scenario

SHIPPED = Path(__file__).parent / "studies"

# What `--scale` sets where the study has no `scales` entry of that name; `paper` is P1 §IV-C.
SCALES = {
    "smoke": {"instances": 10, "epochs": 1},
    "small": {"instances": 100, "epochs": 20},
    "paper": {"instances": 1000, "epochs": 80},
}

_LARGEST = 20_000  # values in a file, and scenarios in a grid

Grid = dict[str, list[Any]]  # scenario field → values


def gpu_share(gpus: float) -> float:
    """GPUs of a trial: a fraction of one, or a whole number. Raises AmcError for anything else."""
    if gpus > 1 and gpus != int(gpus):
        raise AmcError(f"{gpus:g} GPUs are not allowed: give a fraction of one, or a whole number")
    return gpus


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RecipeSection(_Section):
    epochs: int = Field(Recipe.epochs, ge=1, le=1_000_000)
    batch_size: int = Field(Recipe.batch_size, ge=1, le=1_000_000)
    learning_rate: float = Field(Recipe.learning_rate, gt=0, allow_inf_nan=False)


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


class StudyFile(_Section):
    """The keys of a study file."""

    description: str = ""
    modulations: tuple[str, ...] = Field(validate_default=True, default="complex")
    snr_db: tuple[Annotated[float, Field(ge=-200, le=200)], ...] = tuple(float(snr) for snr in range(-6, 19, 2))
    instances: int = Field(1000, ge=10, le=10_000_000)
    length: int = Field(1024, ge=8, le=1 << 20)
    dataset_seed: int = Field(0, ge=0, lt=1 << 32)
    models: tuple[tuple[str, dict[str, Any]], ...]
    recipe: RecipeSection = RecipeSection()
    seeds: tuple[Annotated[int, Field(ge=0, lt=1 << 32)], ...] = (0,)
    train: tuple[Grid, ...] = ({},)
    test: tuple[Grid, ...] = ({},)
    scales: dict[str, ScaleSection] = {}
    resources: ResourcesSection = ResourcesSection()

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

    @field_validator("seeds", mode="before")
    @classmethod
    def _one_seed(cls, value: Any) -> Any:
        return value if isinstance(value, list) else (value,)

    @field_validator("snr_db", "seeds", "models", mode="after")
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
        return tuple(_model_entry(entry) for entry in (value if isinstance(value, list) else [value]))

    @field_validator("train", "test", mode="before")
    @classmethod
    def _grids(cls, value: Any, info: ValidationInfo) -> Any:
        grids = value if isinstance(value, list) else [value]
        if not grids:
            raise AmcError("the grid is empty: name scenario fields and their values")
        expanded = tuple(_grid(grid, info.context["folder"]) for grid in grids)
        scenarios = sum(math.prod(len(values) for values in grid.values()) for grid in expanded)
        if scenarios > _LARGEST:
            raise AmcError(f"the grid has {scenarios:,} scenarios: at most {_LARGEST:,} are allowed")
        return expanded


@dataclass(frozen=True)
class Study:
    """A validated study at one scale: the runs it names and, for each of them, the test datasets."""

    name: str
    file: StudyFile
    scale: str | None
    instances: int
    recipe: Recipe

    def dataset(self, scenario: Scenario) -> Dataset:
        """The instances of a scenario that this study trains on or tests on."""
        file = self.file
        return Dataset(scenario, file.modulations, file.snr_db, self.instances, file.length, file.dataset_seed)

    def runs(self) -> list[Run]:
        """Every training run, each once: models × training scenarios × seeds."""
        scenarios = [scenario for grid in self.file.train for scenario in _expand(grid, Scenario())]
        runs = {
            run.key: run
            for (model, hyperparameters), scenario, seed in product(self.file.models, scenarios, self.file.seeds)
            for run in [Run(model, self.dataset(scenario), self.recipe, seed, hyperparameters)]
        }
        return list(runs.values())

    def tests(self, run: Run) -> list[Dataset]:
        """The test datasets of a run, each once; fields that the test grid leaves out are those of its training."""
        scenarios = [scenario for grid in self.file.test for scenario in _expand(grid, run.dataset.scenario)]
        return [self.dataset(scenario) for scenario in dict.fromkeys(scenarios)]


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
    if _size(content) > _LARGEST:
        raise AmcError(f"{path}: the study is too large: it has more than {_LARGEST:,} values")
    if not isinstance(content, dict):
        raise AmcError(f"{path}: a study is a mapping of keys to values, such as 'models: [cnn1d]'")
    try:
        file = StudyFile.model_validate(content, context={"folder": path.absolute().parent})
        study = _at_scale(path.stem, file, scale)
        for run in {run.dataset: run for run in study.runs()}.values():
            study.tests(run)
    except ValidationError as error:
        raise AmcError(f"{path}: {_shortened(_sentence(error))}") from None
    except AmcError as error:
        raise AmcError(f"{path}: {_shortened(str(error))}") from None
    return study


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
    unknown = next((name for name in fields if name not in SCENARIO_FIELDS), None)
    if unknown is not None:
        raise AmcError(f"scenario field {unknown!r} is not known{suggest(unknown, SCENARIO_FIELDS)}")
    return Scenario(**fields)


def _at_scale(name: str, file: StudyFile, scale: str | None) -> Study:
    sizes = {key: dict(values) for key, values in SCALES.items()}
    for key, section in file.scales.items():
        sizes.setdefault(key, {}).update(section.model_dump(exclude_none=True))
    if scale is not None and scale not in sizes:
        raise AmcError(f"scale {scale!r} is not known{suggest(scale, sizes)}")
    size = {"instances": file.instances, "epochs": file.recipe.epochs} | (sizes[scale] if scale else {})
    recipe = Recipe(size["epochs"], file.recipe.batch_size, file.recipe.learning_rate)
    return Study(name, file, scale, size["instances"], recipe)


def _find(name: str) -> Path:
    shipped = SHIPPED / f"{name}.yaml"
    if Path(name).is_file():
        return Path(name)
    if shipped.is_file():
        return shipped
    names = sorted(path.stem for path in SHIPPED.glob("*.yaml"))
    raise AmcError(f"study {name!r} is neither a file nor a shipped study{suggest(name, names)}")


def _expand(grid: Grid, base: Scenario) -> Iterator[Scenario]:
    """The Cartesian product of a grid's axes, the first axis slowest."""
    if "recording" in grid or base.recording:  # nothing of a recording is shared with a simulated scenario
        base = base if not grid else Scenario()
    for values in product(*grid.values()):
        yield replace(base, **dict(zip(grid, values, strict=True)))


def _grid(grid: Any, folder: Path) -> Grid:
    if not isinstance(grid, dict):
        raise AmcError(f"{grid!r} is not a grid: map scenario fields to values (known: {', '.join(SCENARIO_FIELDS)})")
    axes = {}
    for field, values in grid.items():
        if field not in SCENARIO_FIELDS:
            raise AmcError(f"scenario field {field!r} is not known{suggest(field, SCENARIO_FIELDS)}")
        axes[field] = values if isinstance(values, list) else [values]
        if not axes[field]:
            raise AmcError(f"{field} is an empty list: give it at least one value")
        if field in FILE_FIELDS:  # a path in a study is meant from where the study is
            axes[field] = [str(folder / value) if isinstance(value, str) else value for value in axes[field]]
        for value in axes[field]:
            Scenario(**{field: value}).definition()  # which looks at files
    return axes


def _model_entry(entry: Any) -> tuple[str, dict]:
    if isinstance(entry, dict) and len(entry) == 1:
        [(name, hyperparameters)] = entry.items()
    else:
        name, hyperparameters = entry, {}
    if not isinstance(name, str) or not isinstance(hyperparameters, dict):
        raise AmcError(f"{entry!r} is not a model: write a name, or 'name: {{hyperparameter: value}}'")
    return name, validate_hyperparameters(name, hyperparameters)


def _size(content: Any) -> int:
    """How many values a document has, aliases followed, counted no further than is too many."""
    waiting, count = [content], 0
    while waiting and count <= _LARGEST:
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
        sections = {"recipe": RecipeSection, "resources": ResourcesSection, "scales": ScaleSection}
        section = sections.get(first["loc"][0], StudyFile) if len(first["loc"]) > 1 else StudyFile
        return f"key {place!r} is not known{suggest(first['loc'][-1], section.model_fields)}"
    if first["type"] == "missing":
        return f"key {place!r} is missing: a study needs it"
    cause = first.get("ctx", {}).get("error")
    if cause is not None:
        return f"{place}: {cause}"
    message = first["msg"]
    return f"{place}: {first['input']!r} is not allowed: {message[0].lower()}{message[1:]}"
