"""Grids of a study: every combination of values of scenario fields.

A grid consists of axes, and an axis of settings: ``{upsampling: [2, 4]}`` is one axis of two settings.
``{zip: {upsampling: [2, 4], sample_rate: [200e3, 400e3]}}`` is also one axis of two settings, each with two fields.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from amc_core.errors import AmcError, require_known, suggest
from amc_core.fields import fields_of
from amc_core.identity import canonical
from amc_core.models import MODELS, model_spec, validate_hyperparameters
from amc_core.modulations import modulation_names
from amc_core.quantities import number, require_number
from amc_core.recipes import RECIPES
from amc_core.run import Recipe
from amc_core.scenario import FILE_FIELDS, SCENARIO_FIELDS, Channel, Mixture, Scenario
from sweeps.study.alternatives import alternatives, front_ends
from sweeps.study.alternatives import combinations as combinations_of
from sweeps.study.code import Code
from sweeps.study.recorded import from_folder

Setting = dict[str, Any]  # field → value; "mixture" → components and their weights

_USUAL = Scenario()
_RECIPE_FIELDS = tuple(fields_of(Recipe))


@dataclass(frozen=True, eq=False)
class Grid:
    """Every combination of a setting from each axis.

    A test grid may have its own number of instances of every modulation and SNR, SNRs in dB and modulations; None
    stands for those of the training.
    """

    axes: tuple[tuple[Setting, ...], ...] = ()
    instances: int | None = None
    snrs_db: tuple[float, ...] | None = None
    modulations: tuple[str, ...] | None = None

    @property
    def size(self) -> int:
        """How many settings there are."""
        return math.prod(len(axis) for axis in self.axes)

    @property
    def given(self) -> set[str]:
        """The scenario fields whose values the grid gives."""
        return {name for axis in self.axes for name in axis[0] if name != "mixture"}

    def scenarios(self, base: Scenario = _USUAL) -> Iterator[Scenario | Mixture]:
        """The scenarios of the grid; other fields are as in `base`, and the first axis changes slowest."""
        if "recording" in self.given or (base.recording and self.axes):  # recordings share no field with simulations
            base = Scenario(normalisation=base.normalisation)
        for settings in product(*self.axes):
            setting = {name: value for part in settings for name, value in part.items()}
            mixture = setting.pop("mixture", None)
            scenario = replace(base, **setting)
            if mixture is None:
                yield scenario
            else:
                components, weights = zip(*mixture, strict=True)
                yield Mixture(tuple(replace(scenario, **component) for component in components), weights)

    def scenarios_from(self, base: Scenario | Mixture) -> Iterator[Scenario | Mixture]:
        """As `scenarios`; if `base` is a mixture, each setting is applied to each of its components."""
        for components in zip(*map(self.scenarios, base.components), strict=True):
            same = len(set(components)) == 1
            yield components[0] if same else Mixture(components, base.weights)


class Beside(NamedTuple):
    """What a grid may name: files in the study's folder, functions of its code, and modulations of its own."""

    folder: Path
    code: Code
    modulations: tuple[str, ...] = ()


def scenario_grid(content: Any, beside: Beside, train: Iterable[Grid] | None = None) -> Grid:
    """Read a grid of scenario fields.

    train: the training grids if this is a test grid, else None. A training grid may have a `mixture`. A test grid may
    `vary` fields over all values that they have in training, and have its own `instances`, `snr_db` and `modulations`,
    including user-defined ones of the study. Raises AmcError if the content is not a grid.
    """
    if not isinstance(content, dict):
        raise AmcError(
            f"{content!r} is not a grid: map scenario fields to values (known: {', '.join(SCENARIO_FIELDS)})"
        )
    special = ("zip", "mixture") if train is None else ("zip", "vary", *_OF_TESTS)
    own = {} if train is None else {name: content[name] for name in _OF_TESTS if name in content}
    content = {name: values for name, values in content.items() if name not in own}

    def axes_of(name: str, values: Any) -> list[tuple[Setting, ...]]:
        if name == "zip":
            return [_zipped(values, beside)]
        if name == "mixture" and train is None:
            return [({"mixture": _mixture(values, beside)},)]
        if name == "vary" and train is not None:
            return _varied(values, train)
        require_known("scenario field", [name], (*SCENARIO_FIELDS, *special))
        return [tuple({name: value} for value in _values(name, values, beside))]

    axes = [axis for part in each(lambda entry: axes_of(*entry), content.items()) for axis in part]
    decided: list[str] = []
    for axis in axes:
        twice = next((name for name in _decided(axis) if name in decided), None)
        if twice:
            raise AmcError(f"{twice} is given twice in one grid")
        decided += _decided(axis)
    readers = {"instances": _own_instances, "snr_db": _own_snrs}
    readers["modulations"] = partial(modulation_names, own=beside.modulations)
    return Grid(tuple(axes), **{_OF_TESTS[name]: readers[name](value) for name, value in own.items()})


def snr_levels(value: Any) -> tuple[float, ...]:
    """SNRs in dB: a number, a list of different ones, or a range {from: -6, to: 18, step: 2} with both ends."""
    if isinstance(value, dict):
        numbers = {name: number(entry) for name, entry in value.items()}
        small = all(entry is not None and -1e3 <= entry <= 1e3 for entry in numbers.values())
        if set(value) != {"from", "to", "step"} or not small:
            raise AmcError("a range has to have three numbers in dB from -1000 to 1000: {from: -6, to: 18, step: 2}")
        # As decimals, since a sum of tenths is 0.30000000000000004.
        first, last, step = (Decimal(str(numbers[name])) for name in ("from", "to", "step"))
        if step <= 0 or last < first or last - first > 1000 * step:
            raise AmcError("a range has to ascend in at most 1000 steps: {from: -6, to: 18, step: 2}")
        return tuple(float(first + step * k) for k in range(int((last - first) / step) + 1))
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _own_snrs(value: Any) -> tuple[float, ...]:
    levels = tuple(require_number("snr_db", level, -200, 200, "dB") for level in snr_levels(value))
    if not levels or len(set(levels)) < len(levels):
        raise AmcError(f"snr_db {list(levels)} is not allowed: give at least one, each once")
    return levels


def _own_instances(value: Any) -> int:
    return require_number("instances", value, 1, 10**7, integer=True)


# Key that only a test grid may have → the attribute of the grid.
_OF_TESTS = {"instances": "instances", "snr_db": "snrs_db", "modulations": "modulations"}


def require_one_meaning(grids: Iterable[Grid]) -> None:
    """Raise AmcError if two different channels have the same name, or one channel has two names.

    Tables identify channels by their names.
    """
    known: dict[str, Channel] = {}
    names: dict[str, str] = {}
    for setting in (setting for grid in grids for axis in grid.axes for setting in axis):
        for part in _parts(setting):
            channel = Scenario(channel=part.get("channel", "awgn")).paths
            if channel.name and known.setdefault(channel.name, channel) != channel:
                raise AmcError(f"two channels are named {channel.name!r}: give each a name of its own")
            other = names.setdefault(canonical(channel), channel.name)
            if other != channel.name:
                raise AmcError(f"channels {other!r} and {channel.name!r} are the same: use only one of the names")


def digests_of(grids: Iterable[Grid]) -> dict[str, str]:
    """Path → digest of the content, of all files that grids name."""
    parts = [part for grid in grids for axis in grid.axes for setting in axis for part in _parts(setting)]
    paths = [part[name] for part in parts for name in FILE_FIELDS if part.get(name)]
    return {str(path): path.content for path in paths}


def _parts(setting: Setting) -> list[Setting]:
    """A setting, and the settings of its mixture's components."""
    return [setting, *(part for part, _ in setting.get("mixture", ()))]


def _decided(axis: tuple[Setting, ...]) -> list[str]:
    """The fields whose values an axis gives, including those of a mixture's components."""
    return list(dict.fromkeys(name for part in _parts(axis[0]) for name in part if name != "mixture"))


def recipe_grid(content: Any) -> list[Setting]:
    """Read a recipe or a list of recipes; if fields have lists of values, every combination is a recipe.

    The key `like` names one of `RECIPES`, from which all fields that are not given are taken.
    """
    combinations = []
    for section in content if isinstance(content, list) else [content]:
        if not isinstance(section, dict):
            raise AmcError(
                f"{section!r} is not a recipe: map its fields to values (known: {', '.join(_RECIPE_FIELDS)})"
            )
        lists = {name: value if isinstance(value, list) else [value] for name, value in section.items()}
        each(lambda entry: _require_recipe_field(*entry), lists.items())
        combinations += [_as(**combination) for combination in combinations_of(lists)]
    if not combinations:
        raise AmcError("the recipe has an empty list: give at least one value")
    for combination in combinations:
        Recipe(**combination)
    return combinations


def _as(like: str = "", **fields: Any) -> Setting:
    """The fields of a recipe; those that are left out are as in the recipe `like`."""
    return RECIPES.get(like, {}) | fields


def _require_recipe_field(name: str, values: list) -> None:
    require_known("recipe field", [name], (*_RECIPE_FIELDS, "like"))
    if name == "like":
        require_known("recipe", values, RECIPES)
        return
    field = fields_of(Recipe)[name]
    for value in values:
        require_value(name, value, field.optional)
        field.read(name, value)


def require_value(name: str, value: Any, optional: bool = False) -> None:
    """Raise AmcError for an empty value, which YAML reads as null, unless null is allowed."""
    if value is None and not optional:
        raise AmcError(f"{name} has no value: give one, or leave it out")


def each(reader: Callable[[Any], Any], entries: Iterable[Any]) -> list:
    """reader(entry) for each entry. Raises one AmcError for all entries that it refuses, with a line for each."""
    read, mistakes = [], {}
    for entry in entries:
        try:
            read.append(reader(entry))
        except AmcError as error:
            mistakes[str(error)] = None
    if mistakes:
        raise AmcError("\n".join(mistakes))
    return read


class ModelEntry(NamedTuple):
    """A model with its hyperparameters, and the fields of its recipes in which they differ from the study's."""

    name: str
    hyperparameters: dict[str, Any]
    recipe: dict[str, Any]

    def __repr__(self) -> str:
        """The name and the hyperparameters that differ from their defaults, for messages."""
        fields = MODELS[self.name].hyperparameters if self.name in MODELS else {}
        values = {key: x for key, x in self.hyperparameters.items() if key not in fields or x != fields[key].default}
        return f"{self.name!s} {values}" if values else str(self.name)


def model_name(content: Any) -> Any:
    """The name in a model's entry: its only key besides `recipe`, or the entry itself."""
    names = [key for key in content if key != "recipe"] if isinstance(content, dict) else []
    return names[0] if len(names) == 1 else content


def model_grid(content: Any, code: Code) -> list[ModelEntry]:
    """Read a model's entry: a name, or a name with hyperparameters and perhaps a recipe; values may be lists.

    ``{resnet: {stacks: [3, 6]}, recipe: {learning_rate: 1e-4}}`` gives two models with a recipe of their own.
    """
    name, hyperparameters, recipe = model_name(content), {}, {}
    if isinstance(content, dict) and isinstance(name, str):
        hyperparameters, recipe = content[name], content.get("recipe", {})
    if not isinstance(name, str) or not isinstance(hyperparameters, dict):
        raise AmcError(
            f"{content!r} is not a model: write a name, or 'name: {{hyperparameter: value}}'; a recipe of the model's "
            "own is written beside the name, 'recipe: {field: value}'"
        )
    name = code.model(name)
    known = model_spec(name).hyperparameters
    if "recipe" in hyperparameters and "recipe" not in known:
        raise AmcError(f"the recipe of {name} has to be beside it, not in it: {{{name}: {{}}, recipe: {{}}}}")
    lists = {key: alternatives(known.get(key), value) for key, value in hyperparameters.items()}
    return [
        ModelEntry(name, validate_hyperparameters(name, combination), fields)
        for combination, fields in product(combinations_of(lists), recipe_grid(recipe))
    ]


def model_names(content: Any, code: Code) -> tuple[str, ...]:
    """Read a list of names of models that are trained in epochs, which may be classes of `code`."""
    names = content if isinstance(content, list) else [content]
    for name in names:
        if not isinstance(name, str) or not model_spec(code.model(name)).epochs:
            trained = ", ".join(name for name, spec in MODELS.items() if spec.epochs)
            raise AmcError(
                f"{name!r} cannot start from another run: name models that are trained in epochs ({trained})"
            )
    return tuple(names)


# Field → fields that it needs, with a valid value to check it with; the values of the grid replace them.
_PARTNERS = {
    "impulsive_index": {"impulsive_ratio": 1.0},
    "impulsive_ratio": {"impulsive_index": 1.0},
    "amplifier_smoothness": {"amplifier_backoff_db": 0.0},
}


def _values(name: str, values: Any, beside: Beside) -> list:
    """The values of a field. Raises AmcError for one that is not allowed."""
    values = values if isinstance(values, list) else [values]
    if not values:
        raise AmcError(f"{name} is an empty list: give it at least one value")
    if name in FILE_FIELDS:  # a path in a study starts from the study's folder
        if "" in values:
            raise AmcError(
                f"{name} '' is not allowed: it has to be the path of a file; to use none, leave the field out"
            )
        values = [from_folder(value, beside.folder) for value in values]
    if name == "front_end":
        values = [one for value in values for one in front_ends(value, beside.code)]
    for value in values:
        require_value(name, value, fields_of(Scenario)[name].optional)
    partners = _PARTNERS.get(name, {})
    read = [Scenario(**{name: value} | (partners if value is not None else {})) for value in values]
    for scenario in read:
        scenario.definition()  # reads the files, and the values keep their digests
    return [getattr(scenario, name) for scenario in read] if name in FILE_FIELDS else values


def _zipped(content: Any, beside: Beside) -> tuple[Setting, ...]:
    if not isinstance(content, dict) or not content:
        raise AmcError(f"zip {content!r} is not allowed: map scenario fields to lists of the same length")
    require_known("scenario field", content, SCENARIO_FIELDS)
    lists = {name: _values(name, values, beside) for name, values in content.items()}
    lengths = {name: len(values) for name, values in lists.items()}
    if len(set(lengths.values())) > 1:
        text = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise AmcError(f"zip needs lists of the same length, but {text} values")
    return tuple(dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True))


def _mixture(content: Any, beside: Beside) -> tuple[tuple[Setting, float], ...]:
    components = []
    for entry in content if isinstance(content, list) else [content]:
        if not isinstance(entry, dict):
            raise AmcError(
                f"{entry!r} is not a component of a mixture: map scenario fields, and perhaps weight, to one value each"
            )
        setting = {}
        for name, value in entry.items():
            if name == "weight":
                continue
            if name not in SCENARIO_FIELDS:
                raise AmcError(f"scenario field {name!r} is not known{suggest(name, (*SCENARIO_FIELDS, 'weight'))}")
            values = [] if isinstance(value, list) else _values(name, value, beside)
            if len(values) != 1:
                raise AmcError(f"{name} {value!r} is not allowed in a mixture: give one value")
            [setting[name]] = values
        components.append((setting, entry.get("weight", 1.0)))
    Mixture(tuple(Scenario(**setting) for setting, _ in components), tuple(weight for _, weight in components))
    return tuple(components)


def _varied(content: Any, train: Iterable[Grid]) -> list[tuple[Setting, ...]]:
    axes = []
    for name in content if isinstance(content, list) else [content]:
        settings = [setting for grid in train for axis in grid.axes for setting in axis]
        settings += [part for setting in settings for part, _ in setting.get("mixture", ())]
        values = [setting[name] for setting in settings if name in setting] if isinstance(name, str) else []
        if not values:
            raise AmcError(f"vary: {name!r} is not a field with values in train: name fields of train")
        distinct = [value for index, value in enumerate(values) if value not in values[:index]]
        axes.append(tuple({name: value} for value in distinct))
    return axes
