"""What may stand in a study file, validated to the last field with Pydantic, and how it is read from YAML."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from amc_core.errors import AmcError, suggest
from amc_core.modulations import MODULATION_SETS, modulation_names
from sweeps.study.grid import LARGEST, Grid, model_grid, model_names, recipe_grid, scenario_grid, snr_levels

_MOST_VALUES = 20_000  # in a file


def gpu_share(gpus: float) -> float:
    """GPUs of a trial: a fraction of one, or a whole number. Raises AmcError for anything else."""
    if not 0 <= gpus < 1e6 or (gpus > 1 and gpus != int(gpus)):
        raise AmcError(f"{gpus:g} GPUs are not allowed: give a fraction of one, or a whole number")
    return gpus


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth(cls, value: Any) -> Any:
        if any(isinstance(entry, bool) for entry in (value if isinstance(value, list | tuple) else [value])):
            raise AmcError(f"{value!r} is not allowed: nothing here is true or false (YAML reads yes and no so)")
        return value


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
    """Processor cores that one trial takes."""
    gpus_per_trial: float | None = Field(None, ge=0, allow_inf_nan=False)
    """GPUs that one trial takes: a fraction of one, or a whole number; by default one where the cluster has any."""

    @field_validator("gpus_per_trial", mode="after")
    @classmethod
    def _whole_above_one(cls, value: float | None) -> float | None:
        return None if value is None else gpu_share(value)


class ScaleSection(_Section):
    instances: int | None = Field(None, ge=10, le=10_000_000)
    """Instances of every modulation and SNR."""
    snr_stride: int | None = Field(None, ge=1, le=1_000)
    """4 takes every fourth SNR of the study, the last one among them."""
    epochs: int | None = Field(None, ge=1, le=1_000_000)
    """Epochs of a recipe that has the default; of others in proportion."""
    batch_size: int | None = Field(None, ge=1, le=1_000_000)
    """Batch size of a recipe that has the default; of others in proportion."""
    trials: int | None = Field(None, ge=1, le=1_000_000)
    """Proposals of a search."""


_Length = Annotated[int, Field(ge=8, le=1 << 20)]


class TransferSection(_Section):
    """A stage that starts from every run above it, or from those of some models."""

    models: Annotated[tuple[str, ...], BeforeValidator(model_names)] = ()
    """The models that it takes, by default all that are trained in epochs."""
    train: _TrainGrids = (Grid(),)
    """The scenarios it trains in; fields that are left out are as in the run that it starts from."""
    recipe: _Recipes = ({},)
    """Fields of its recipe; those that are left out are as in the run that it starts from."""
    test: _TestGrids | None = None
    """The scenarios its runs are tested in; by default the study's."""


OBJECTIVES = {"unseen_accuracy": "maximize", "accuracy": "maximize", "parameters": "minimize"}


class SearchSection(_Section):
    """How the dimensions of a study are searched."""

    trials: int | None = Field(None, ge=1, le=1_000_000)
    """How many proposals are to be evaluated; those that a pruner stops count."""
    sampler: Literal["tpe", "random", "cmaes", "grid"] = "tpe"
    """How values are proposed."""
    pruner: Literal["none", "asha", "median", "hyperband"] = "none"
    """Which trials are stopped early: by comparison with those that have come as far by then, so timing matters."""
    objective: tuple[Literal[tuple(OBJECTIVES)], ...] = ("unseen_accuracy",)
    """What is best: one, or several for a Pareto front."""
    seed: int = Field(0, ge=0, lt=1 << 32)
    """Of the sampler."""
    storage: str | None = Field(None, pattern=r"^[a-z0-9+]+://.")
    """URL of a database that keeps the proposals; by default a journal file in the store."""

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
    """What the study is for."""
    modulations: tuple[str, ...] = Field(validate_default=True, default="complex")
    """The classes: the name of a set, or a list of modulations."""
    snr_db: tuple[Annotated[float, Field(ge=-200, le=200)], ...] = tuple(float(snr) for snr in range(-6, 19, 2))
    """SNRs in dB: a list, or a range {from, to, step}."""
    instances: int = Field(1000, ge=10, le=10_000_000)
    """Instances of every modulation and SNR, split 80:10:10 into training, validation and test."""
    length: tuple[_Length, ...] = (1024,)
    """Samples of an instance; of several, each is trained on."""
    test_length: tuple[_Length, ...] = ()
    """Samples of an instance in tests; by default those of training."""
    dataset_seed: int = Field(0, ge=0, lt=1 << 32)
    """Seed of the simulated instances."""
    models: tuple[tuple[str, dict[str, Any]], ...]
    """Names of models, or names with hyperparameters."""
    recipe: _Recipes = ({},)
    """How weights come about: fields of a recipe; a list of values means each of them."""
    seeds: tuple[Annotated[int, Field(ge=0, lt=1 << 32)], ...] = (0,)
    """Seeds of the initial weights and of the order of instances; each is a run."""
    train: _TrainGrids = (Grid(),)
    """The scenarios to train in: fields and their values, every combination of which is meant."""
    test: _TestGrids = (Grid(),)
    """The scenarios to test in; fields that are left out are as in training."""
    transfer: tuple[TransferSection, ...] = ()
    """Stages of training that start from the runs before them."""
    scales: dict[str, ScaleSection] = {}
    """What a scale of a name sets, for --scale."""
    resources: ResourcesSection = ResourcesSection()
    """What one trial takes of a machine."""
    search: SearchSection | None = None
    """How dimensions of the study are searched."""

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
        return snr_levels(value)

    @field_validator("seeds", "length", "test_length", "transfer", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return value if isinstance(value, list) else (value,)

    @field_validator("scales")
    @classmethod
    def _scale_names(cls, value: dict[str, ScaleSection]) -> dict[str, ScaleSection]:
        for name in value:
            if not re.fullmatch(r"[\w.-]+", name):  # it stands in the names of figures
                raise AmcError(f"{name!r} is not allowed: the name of a scale has letters, digits, '_', '.' and '-'")
        return value

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


def read_content(path: Path) -> dict:
    """The content of a study file. Raises AmcError where it is not a mapping in YAML, or one that is too large."""
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise AmcError(f"{path}: the study cannot be read: {error}") from None
    except AmcError as error:
        raise AmcError(f"{path}: not a YAML file: {error}") from None
    if _size(content) > _MOST_VALUES:
        raise AmcError(f"{path}: the study is too large: it has more than {_MOST_VALUES:,} values")
    if not isinstance(content, dict):
        raise AmcError(f"{path}: a study is a mapping of keys to values, such as 'models: [cnn1d]'")
    return content


def parse_yaml(text: str) -> Any:
    """The value of a YAML text. Raises AmcError, which tells why, for anything else and for a key given twice."""
    try:
        return yaml.load(text, Loader=_UniqueKeyLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise AmcError(" ".join(str(error).split())) from None


def validated(content: dict, folder: Path) -> StudyFile:
    """Validate content, paths in it taken from `folder`. Raises Pydantic's ValidationError: see `sentence`."""
    return StudyFile.model_validate(content, context={"folder": folder})


def sentence(error: ValidationError) -> str:
    """The first complaint of Pydantic as one sentence: where, what, and what is allowed."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"] if part != "[key]")  # which Pydantic says of a name
    sections = {"transfer": TransferSection, "resources": ResourcesSection, "scales": ScaleSection}
    sections["search"] = SearchSection
    section = sections.get(first["loc"][0], StudyFile) if len(first["loc"]) > 1 else StudyFile
    if first["type"] == "extra_forbidden":
        return f"key {place!r} is not known{suggest(first['loc'][-1], section.model_fields)}"
    if first["type"] == "missing":
        return f"key {place!r} is missing: a study needs it"
    cause = first.get("ctx", {}).get("error")
    if cause is not None:
        return f"{place}: {cause}"
    limits = {name: f"{limit:,.10g}" for name, limit in first.get("ctx", {}).items() if isinstance(limit, int | float)}
    if first["type"].startswith("model"):
        section = sections[first["loc"][0]]
        allowed = f"a mapping of its keys to values (known: {', '.join(section.model_fields)})"
    else:
        allowed = _ALLOWED.get(first["type"], first["msg"].lower()).format(**first.get("ctx", {}) | limits)
    return f"{place}: {first['input']!r} is not allowed: it is {allowed}"


# What Pydantic found wrong → what is right, with the limits of the field.
_ALLOWED = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number"), "a number"),
    **dict.fromkeys(("tuple_type", "list_type"), "a list"),
    "string_type": "a text",
    "dict_type": "a mapping of names to values",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "less_than": "below {lt}",
    "literal_error": "{expected}",
}


def _size(content: Any) -> int:
    """How many values a document has, aliases followed, counted no further than is too many."""
    waiting, count = [content], 0
    while waiting and count <= _MOST_VALUES:
        value = waiting.pop()
        count += 1
        if isinstance(value, dict | list):
            waiting += [*value.keys(), *value.values()] if isinstance(value, dict) else value
    return count


class _UniqueKeyLoader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice instead of keeping the last."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        repeated = next((key for place, key in enumerate(keys) if key in keys[:place]), None)
        if repeated is not None:
            raise yaml.YAMLError(f"the key {repeated!r} stands there twice (line {node.start_mark.line + 1})")
        return super().construct_mapping(node, deep)
