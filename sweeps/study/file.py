"""The keys of a study file and their validation with Pydantic, and reading the file from YAML."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SkipValidation,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from amc_core.errors import AmcError, require_known, suggest
from amc_core.modulations import MODULATION_SETS, modulation_names
from amc_core.quantities import require_number, whole
from sweeps.search.objectives import OBJECTIVES
from sweeps.study.alternatives import LARGEST
from sweeps.study.code import Code
from sweeps.study.grid import (
    Beside,
    Grid,
    ModelEntry,
    each,
    model_grid,
    model_names,
    recipe_grid,
    scenario_grid,
    snr_levels,
)
from sweeps.study.yaml12 import parse_yaml

_MOST_VALUES = 20_000  # in a file


def gpu_share(gpus: float, name: str = "gpus_per_trial") -> float:
    """GPUs of a trial: a fraction of one, or a whole number. Raises AmcError, which names `name`, for other values."""
    if not 0 <= gpus < 1e6 or (gpus > 1 and gpus != int(gpus)):
        raise AmcError(f"{name} {gpus:g} is not allowed: give a fraction of one GPU, or a whole number")
    return gpus


def _number(low: float, high: float, kind: type = float) -> Any:
    """The type of a number from `low` to `high`, however it is written."""
    reader = partial(require_number, "", low=low, high=high, integer=kind is int)
    return Annotated[kind, Field(ge=low, le=high), BeforeValidator(reader)]


_whole = partial(_number, kind=int)
_Instances, _Count, _Seed = _whole(10, 10_000_000), _whole(1, 1_000_000), _whole(0, (1 << 32) - 1)


class _Section(BaseModel):
    # Built where it is needed, within the whole file's; `schema` reads what the texts below the fields tell.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth(cls, value: Any) -> Any:
        if any(isinstance(entry, bool) for entry in (value if isinstance(value, list | tuple) else [value])):
            raise AmcError(f"{value!r} is not allowed: no key here takes true or false")
        return value


def _grids(content: Any, info: ValidationInfo, train: tuple[Grid, ...] | None = None) -> tuple[Grid, ...]:
    grids = content if isinstance(content, list) else [content]
    if not grids:
        raise AmcError("the grid is empty: name scenario fields and their values")
    beside = Beside(info.context["folder"], info.context["code"], info.context.get("modulations", ()))
    read = tuple(scenario_grid(grid, beside, train) for grid in grids)
    settings = sum(grid.size for grid in read)
    if settings > LARGEST:
        raise AmcError(f"the grid has {settings:,} scenarios: at most {LARGEST:,} are allowed")
    return read


def _train_grids(content: Any, info: ValidationInfo) -> tuple[Grid, ...]:
    known = info.context.pop("train", ())
    read = _grids(content, info)
    info.context["train"] = (*known, *read)  # test grids may vary over these
    return read


def _test_grids(content: Any, info: ValidationInfo) -> tuple[Grid, ...]:
    if "train" not in info.context:  # it was refused, and fields that vary over it would be refused as well
        return ()
    return _grids(content, info, info.context["train"])


_TrainGrids = Annotated[tuple[Any, ...], BeforeValidator(_train_grids)]
_TestGrids = Annotated[tuple[Any, ...], BeforeValidator(_test_grids)]
_Code = Annotated[Any, BeforeValidator(lambda content, info: info.context["code"])]  # it was read before
_Recipes = Annotated[tuple[dict, ...], BeforeValidator(recipe_grid)]


class ResourcesSection(_Section):
    cpus_per_trial: _Count = 1
    """Processor cores that one trial takes."""
    gpus_per_trial: _number(0, 1_000_000) | None = None
    """GPUs that one trial takes: a fraction of one, or a whole number; by default one where the cluster has any."""

    @field_validator("gpus_per_trial", mode="after")
    @classmethod
    def _whole_above_one(cls, value: float | None) -> float | None:
        return None if value is None else gpu_share(value)


class ScaleSection(_Section):
    instances: _Instances | None = None
    """Instances of every modulation and SNR."""
    snr_stride: _whole(1, 1_000) | None = None
    """4 takes every fourth SNR of the study, the last one among them."""
    epochs: _Count | None = None
    """Epochs of a recipe that has the default; others change in proportion."""
    batch_size: _Count | None = None
    """Batch size of a recipe that has the default; others change in proportion."""
    proposals: _Count | None = None
    """Proposals of a search."""


def _model_names(content: Any, info: ValidationInfo) -> tuple[str, ...]:
    return model_names(content, info.context["code"])


_Length = _whole(8, 1 << 20)


FIRST_STAGE = "training"  # of the runs that start from no other


class TransferSection(_Section):
    """A stage that starts from every run above it, or from those of some models."""

    name: str = ""
    """The name of its runs in tables; by default transfer-1, transfer-2, and so on."""
    models: Annotated[tuple[str, ...], BeforeValidator(_model_names)] = ()
    """The models that it takes, by default all that are trained in epochs."""
    after: tuple[str, ...] = ()
    """The stages whose runs it starts from, by default all above it; the first is called training."""
    train: _TrainGrids = (Grid(),)
    """The scenarios it trains in; fields that are left out are as in the run that it starts from."""
    recipe: _Recipes = ({},)
    """Fields of its recipe; those that are left out are as in the run that it starts from."""
    test: _TestGrids | None = None
    """The scenarios its runs are tested in; by default the study's."""

    @field_validator("after", mode="before")
    @classmethod
    def _one_or_more_stages(cls, value: Any) -> Any:
        return value if isinstance(value, list) else (value,)


class SearchSection(_Section):
    """How the dimensions of a study are searched."""

    proposals: _Count | None = None
    """Number of proposals to evaluate; those that a pruner stops count."""
    sampler: Literal["tpe", "random", "cmaes", "grid"] = "tpe"
    """The method that proposes values."""
    pruner: Literal["none", "asha", "median", "hyperband"] = "none"
    """Which proposals are stopped early: by comparison with those that have come as far by then, so timing matters."""
    objective: tuple[str, ...] = ("unseen_accuracy",)
    """The objective; several make a Pareto front."""
    seed: _Seed = 0
    """Seed of the sampler."""
    storage: str | None = Field(None, pattern=r"^[a-z0-9+]+://.")
    """URL of a database that keeps the proposals; by default a journal file in the store."""

    @field_validator("objective", mode="before")
    @classmethod
    def _objectives(cls, value: Any) -> Any:
        listed = value if isinstance(value, list) else [value]
        known = all(isinstance(entry, str) and entry in OBJECTIVES for entry in listed)
        if not listed or not known or len(set(listed)) < len(listed):
            raise AmcError(f"{value!r} is not allowed: name one or more of {', '.join(OBJECTIVES)}, each once")
        return listed


class StudyFile(_Section):
    """The keys of a study file."""

    description: str = ""
    """The purpose of the study."""
    modulations: tuple[SkipValidation[str], ...] = Field(validate_default=True, default="complex")
    """The classes: the name of a set, or a list of modulations, some one's own: {MY4: {points: [[1, 0], …]}}."""
    snr_db: tuple[_number(-200, 200), ...] = tuple(float(snr) for snr in range(-6, 19, 2))
    """SNRs in dB: a list, or a range {from, to, step}."""
    instances: _Instances = 1000
    """Instances of every modulation and SNR, split 80:10:10 into training, validation and test."""
    length: tuple[_Length, ...] = (1024,)
    """Samples of an instance; a list trains on each length."""
    test_length: tuple[_Length, ...] = ()
    """Samples of an instance in tests; by default those of training."""
    dataset_seed: _Seed = 0
    """Seed of the simulated instances."""
    split: Literal["tenths", "amr_benchmark"] = "tenths"
    """Parts for training, validation and test: 80:10:10, or 60:20:20 as AMR-Benchmark draws them of a recording."""
    code: _Code = Field(validate_default=True, default=())
    """Python files in the study's folder, or below it, whose classes may be models, and whose functions front ends."""
    models: tuple[SkipValidation[ModelEntry], ...]
    """Names of models, or names with hyperparameters, beside which there may be a recipe of that model alone."""
    recipe: _Recipes = ({},)
    """Fields of a recipe, the way to train weights; a list of values means each of them."""
    seeds: tuple[_Seed, ...] = (0,)
    """Seeds of the initial weights and of the order of instances; each is a run."""
    train: _TrainGrids = (Grid(),)
    """The scenarios to train in: fields and their values, in every combination."""
    test: _TestGrids = (Grid(),)
    """The scenarios to test in; fields that are left out are as in training."""
    transfer: tuple[TransferSection, ...] = ()
    """Stages of training that start from the runs before them."""
    scales: dict[str, ScaleSection] = {}
    """Sizes by name, for --scale."""
    resources: ResourcesSection = ResourcesSection()
    """Share of a machine that one trial takes."""
    search: SearchSection | None = None
    """The search over the dimensions of the study."""

    @property
    def grids(self) -> tuple[Grid, ...]:
        """The scenario grids of all its keys."""
        stages = (grid for stage in self.transfer for grid in (*stage.train, *(stage.test or ())))
        return (*self.train, *self.test, *stages)

    @field_validator("modulations", mode="before")
    @classmethod
    def _modulations(cls, value: Any, info: ValidationInfo) -> tuple[str, ...]:
        if not isinstance(value, str | list):
            raise AmcError(f"{value!r} is not allowed: name a set ({', '.join(MODULATION_SETS)}) or list modulations")
        if isinstance(value, list):
            each(lambda name: modulation_names([name]), value)
        names = modulation_names(value)
        if len(names) < 2:
            raise AmcError(f"{list(map(str, names))} is not allowed: a classifier needs at least two")
        info.context["modulations"] = names  # which test grids may name
        return names

    @field_validator("snr_db", mode="before")
    @classmethod
    def _snr_range(cls, value: Any) -> Any:
        return snr_levels(value)

    @field_validator("seeds", mode="before")
    @classmethod
    def _named_seeds(cls, value: Any) -> Any:
        count = whole(value)
        if count is not None:  # one seed of this value, or so many?
            several = f", or {list(range(count))} for {count} seeds" if 1 < count <= 20 else ""
            raise AmcError(f"{value!r} is not allowed: list the seeds, [{count}] for that one{several}")
        return value if isinstance(value, list) else (value,)

    @field_validator("length", "test_length", "transfer", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return value if isinstance(value, list) else (value,)

    @field_validator("scales")
    @classmethod
    def _scale_names(cls, value: dict[str, ScaleSection]) -> dict[str, ScaleSection]:
        for name in value:
            if not re.fullmatch(r"[\w.-]+", name):  # it stands in the names of figures
                raise AmcError(f"{name!r} is not allowed: the name of a scale may have letters, digits, '_', '.', '-'")
        return value

    @field_validator("transfer", mode="after")
    @classmethod
    def _stage_names(cls, stages: tuple[TransferSection, ...]) -> tuple[TransferSection, ...]:
        names = [stage.name or f"transfer-{number}" for number, stage in enumerate(stages, 1)]
        for index, name in enumerate(names):
            if not re.fullmatch(r"[\w .-]{1,64}", name):
                allowed = "at most 64 letters, digits, blanks, '_', '.' and '-'"
                raise AmcError(f"name {name!r} of a stage is not allowed: it may have {allowed}")
            if name in (FIRST_STAGE, *names[:index]):
                raise AmcError(f"two stages are named {name!r}: give each a name of its own")
            require_known("stage", stages[index].after, (FIRST_STAGE, *names[:index]))
        return tuple(stage.model_copy(update={"name": name}) for stage, name in zip(stages, names, strict=True))

    @field_validator("snr_db", "seeds", "models", "length", "test_length", mode="after")
    @classmethod
    def _distinct(cls, value: tuple) -> tuple:
        if not value:
            raise AmcError("give at least one")
        repeated = [entry for index, entry in enumerate(value) if entry in value[:index]]
        if repeated:
            raise AmcError(f"{repeated[0]!r} is listed twice")
        return value

    @field_validator("models", mode="before")
    @classmethod
    def _models(cls, value: Any, info: ValidationInfo) -> Any:
        entries, code = value if isinstance(value, list) else [value], info.context["code"]
        return tuple(entry for part in each(lambda entry: model_grid(entry, code), entries) for entry in part)


def read_content(path: Path) -> dict:
    """The content of a study file. Raises AmcError if it is not a mapping in YAML or too large."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AmcError(f"{path}: the study cannot be read: {error}") from None
    return text_content(text, str(path))


def text_content(text: str, where: str) -> dict:
    """As `read_content`, of a text. where: its name in messages."""
    try:
        content = parse_yaml(text)
    except AmcError as error:
        raise AmcError(f"{where}: not a YAML file: {error}") from None
    return require_content(content, where)


def require_content(content: Any, where: str) -> dict:
    """Return the content of a study. Raises AmcError if it is not a mapping or too large."""
    if _size(content) > _MOST_VALUES:
        raise AmcError(f"{where}: the study is too large: it has more than {_MOST_VALUES:,} values")
    if not isinstance(content, dict):
        raise AmcError(f"{where}: a study is a mapping of keys to values, such as 'models: [cnn1d]'")
    return content


def validated(content: dict, folder: Path, code: Code) -> StudyFile:
    """Validate the content of a study. folder: that its paths start from. code: its key `code`, read before.

    Raises Pydantic's ValidationError: see `sentence`.
    """
    return StudyFile.model_validate(content, context={"folder": folder, "train": (), "code": code})


def sentence(error: ValidationError) -> str:
    """Pydantic's complaints, a line for each mistake: where it is, the value, and what is allowed."""
    lines = list(dict.fromkeys(line for part in error.errors(include_url=False) for line in _complaints(part)))
    # A key that is misspelt is not missing as well.
    lines = [
        line for line in lines if not (key := _MISSING.match(line)) or not any(f"mean {key[1]}?" in o for o in lines)
    ]
    if len(lines) == 1:
        return lines[0]
    more = [f"and {len(lines) - _MOST_MISTAKES} more"] if len(lines) > _MOST_MISTAKES else []
    return "\n  ".join([f"{len(lines)} mistakes:", *lines[:_MOST_MISTAKES], *more])


def _complaints(error: dict) -> list[str]:
    parts = [part for part in error["loc"] if part != "[key]"]  # Pydantic adds it to the path of a mapping's key
    name = ".".join(map(str, parts))
    section = _SECTIONS.get(parts[0], StudyFile) if len(parts) > 1 else StudyFile
    if error["type"] == "extra_forbidden":
        return [f"key {name!r} is not known{suggest(parts[-1], section.model_fields)}"]
    if error["type"] == "missing":
        return [f"key {name!r} is missing: a study needs it"]
    if error["input"] is None:
        return [f"{name} has no value: give one, or leave the key out"]
    cause = error.get("ctx", {}).get("error")
    if cause is not None:
        lines = [f"{name}: {line.strip()}" for line in str(cause).splitlines()]
        written = "; a range is written {from: -6, to: 18, step: 2}" if parts[0] == "snr_db" else _A_LIST
        return [line + (written if _WITH_COLON.search(line) else "") for line in lines]
    if error["type"].startswith("model"):
        allowed = f"a mapping of its keys to values (known: {', '.join(_SECTIONS[parts[0]].model_fields)})"
    else:
        allowed = _ALLOWED.get(error["type"], error["msg"].lower()).format(**error.get("ctx", {}))
    return [f"{name}: {error['input']!r} is not allowed: it has to be {allowed}"]


_SECTIONS = {
    "transfer": TransferSection,
    "resources": ResourcesSection,
    "scales": ScaleSection,
    "search": SearchSection,
}
_MOST_MISTAKES = 12
_MISSING = re.compile(r"key ('\w+') is missing")
_WITH_COLON = re.compile(r"'[-+.\d]+(:[-+.\d]+)+'")
_A_LIST = "; several are written as a list, [1, 2, 3]"

# Pydantic's type of an error → what is allowed.
_ALLOWED = {
    **dict.fromkeys(("tuple_type", "list_type"), "a list"),
    "string_type": "a text",
    "dict_type": "a mapping of names to values",
    "literal_error": "{expected}",
}


def _size(content: Any) -> int:
    """How many values a document has, with aliases expanded; counting stops above the limit."""
    waiting, count = [content], 0
    while waiting and count <= _MOST_VALUES:
        value = waiting.pop()
        count += 1
        if isinstance(value, dict | list):
            waiting += [*value.keys(), *value.values()] if isinstance(value, dict) else value
    return count
