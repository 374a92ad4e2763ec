"""The search space of a study: the dimensions in its models, recipes and training settings.

A dimension is a mapping that replaces a value: ``{int: [2, 10]}``, ``{float: [1e-4, 1e-2], log: true}``,
``{choice: [paper, identity]}``. In `train` it may replace a field, a bound of a distribution or a weight of a mixture;
it may also replace `length`. Several models are a choice among them, and the dimensions of a model apply only to it.
A value for each dimension turns the study's content into that of a plain study.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from amc_core.distributions import DISTRIBUTIONS
from amc_core.errors import AmcError, require_known, suggest
from amc_core.quantities import require_number
from sweeps.study.alternatives import LARGEST
from sweeps.study.code import Code
from sweeps.study.grid import model_grid, model_name, recipe_grid

MODEL = "model"  # the dimension that chooses among several models

Values = dict[str, Any]  # name of each dimension that applies → value; a choice that is a list has its JSON text

_KINDS = ("int", "float", "choice")
_KEYS = (*_KINDS, "step", "log", "when")


@dataclass(frozen=True)
class Dimension:
    """One field that a search chooses.

    place: the keys that lead to the field in the study's content. (The names of these attributes are part of a search's
    key.) low, high, step: a number lies in [low, high], and on the grid low + k·step if there is a step. log: whether
    it is searched on a logarithmic scale. when: names and values of other dimensions; unless all of them hold, the
    field has its default.
    """

    name: str
    place: tuple[str | int, ...]
    kind: str
    low: float = 0
    high: float = 0
    step: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()
    when: tuple[tuple[str, Any], ...] = ()

    @property
    def ends(self) -> tuple:
        """The values to try before any work: both ends, or every choice."""
        return tuple(map(_label, self.choices)) if self.kind == "choice" else (self.low, self.high)

    def value(self, label: Any) -> Any:
        """The value in the study for a value that the search chose."""
        if self.kind == "choice":
            return next(value for value in self.choices if _label(value) == label)
        if self.kind == "float" and self.step:  # exactly on the grid; a float sum of tenths is 0.30000000000000004
            low, step = Decimal(str(self.low)), Decimal(str(self.step))
            return float(low + step * round((Decimal(str(label)) - low) / step))
        return label

    def holds(self, label: Any) -> bool:
        """Is this one of the dimension's values?"""
        if self.kind == "choice":
            return label in self.ends
        return isinstance(label, int | float) and self.low <= label <= self.high

    def applies(self, values: Values) -> bool:
        return all(name in values and values[name] == value for name, value in self.when)

    def grid(self) -> list:
        """All values of the dimension. Raises AmcError if they cannot be counted or are too many."""
        if self.kind == "choice":
            return list(self.ends)
        if self.step is None and self.kind == "float":
            raise AmcError(f"{self.name}: a grid needs countable values: give the range a step, or use choice")
        low, high, step = (Decimal(str(number)) for number in (self.low, self.high, self.step or 1))
        count = int((high - low) / step) + 1
        if count > LARGEST:
            raise AmcError(
                f"{self.name}: {count:,} values are more than the {LARGEST:,} of a grid: use another sampler"
            )
        return [(int if self.kind == "int" else float)(low + step * k) for k in range(count)]


@dataclass(frozen=True)
class Space:
    """The dimensions of a study, each after those that it depends on, and the study's content."""

    content: dict
    dimensions: tuple[Dimension, ...]

    def choose(self, choice: Callable[[Dimension], Any]) -> Values:
        """choice(dimension) for every dimension that applies, given the values of those before it."""
        values: Values = {}
        for dimension in self.dimensions:
            if dimension.applies(values):
                values[dimension.name] = choice(dimension)
        return values

    def fill(self, values: Values) -> dict:
        """The content of the plain study with these values."""
        content = deepcopy(self.content)
        for dimension in self.dimensions:
            if dimension.name == MODEL:
                continue
            *parents, field = dimension.place
            section = content
            for part in parents:
                section = section[part]
            if dimension.name in values:
                section[field] = dimension.value(values[dimension.name])
            else:
                del section[field]
        if MODEL in values:
            content["models"] = [entry for entry in content["models"] if model_name(entry) == values[MODEL]]
        return content

    def ends(self) -> Iterator[tuple[str, Values]]:
        """(prefix for messages, values) for each model: all dimensions at their first ends, then each at each end."""
        named = {dimension.name: dimension for dimension in self.dimensions}
        seen = []
        for model in named[MODEL].ends if MODEL in named else (None,):
            for dimension in (None, *self.dimensions):
                for end in dimension.ends if dimension else (None,):
                    fixed = {MODEL: model} | (_conditions(dimension, named) if dimension else {})
                    fixed |= {dimension.name: end} if dimension else {}
                    values = self.choose(lambda d, fixed=fixed: fixed.get(d.name, d.ends[0]))
                    if values not in seen:
                        seen.append(values)
                        yield (f"with {dimension.name} {end}: " if dimension else ""), values

    def grid(self) -> list[Values]:
        """Every combination of values; the first dimension changes slowest. Raises AmcError if there are too many."""
        combinations: list[Values] = [{}]
        for dimension in self.dimensions:
            values = dimension.grid()
            combinations = [
                longer
                for shorter in combinations
                for longer in (
                    [shorter | {dimension.name: value} for value in values] if dimension.applies(shorter) else [shorter]
                )
            ]
            if len(combinations) > LARGEST:
                raise AmcError(f"the grid of dimensions has more than {LARGEST:,} combinations: use another sampler")
        return combinations


def read_space(content: dict, code: Code) -> Space:
    """Find the dimensions in a study's content. code: the files that it names.

    Raises AmcError for a dimension that is malformed or that its field does not allow.
    """
    content = deepcopy(content)
    if "search" in content and not isinstance(content["search"], dict):
        raise AmcError("search: map keys (proposals, sampler, pruner, objective, seed, storage) to values")
    searched = "search" in content
    pairs: list[tuple[Dimension, dict]] = []  # each with its section
    if isinstance(content.get("models"), dict | str):
        content["models"] = [content["models"]]
    models = content["models"] if isinstance(content.get("models"), list) else []
    for index, entry in enumerate(models):
        model = model_name(entry)
        if isinstance(entry, dict) and isinstance(model, str):
            pairs += _hyperparameters(entry[model], model, ("models", index, model), code)
            pairs += _recipe(entry.get("recipe"), ("models", index, "recipe"), f"models.{model}.recipe")
    pairs += _recipe(content.get("recipe"), ("recipe",))
    pairs += _nested({key: content[key] for key in ("length", "train") if key in content}, "", (), content)
    if isinstance(content.get("transfer"), dict):
        content["transfer"] = [content["transfer"]]
    stages = content["transfer"] if isinstance(content.get("transfer"), list) else []
    for index, stage in enumerate(stages):
        if isinstance(stage, dict):
            pairs += _recipe(stage.get("recipe"), ("transfer", index, "recipe"))
            pairs += _nested(stage.get("train"), f"transfer.{index}.train", ("transfer", index, "train"), stage)
    dimensions = [_conditional(dimension, section, [other for other, _ in pairs]) for dimension, section in pairs]
    if searched and len(models) > 1:
        names = [model_name(entry) for entry in models]
        if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
            raise AmcError(
                "models: a search needs models of different names: write variants of one model as dimensions of its "
                "hyperparameters"
            )
        dimensions = [_of_model(dimension, names) for dimension in dimensions]
        dimensions.insert(0, Dimension(MODEL, ("models",), "choice", choices=tuple(names)))
    if dimensions and not searched:
        raise AmcError(
            f"{dimensions[0].name} is a dimension: add a section to the study such as 'search: {{proposals: 20}}'"
        )
    if searched and not dimensions:
        raise AmcError(
            "search: nothing is searched: replace the value of a hyperparameter, or of a field of recipe or train, by "
            "a dimension such as {int: [2, 10]}"
        )
    return Space(content, tuple(_ordered(dimensions)))


def _of_model(dimension: Dimension, names: list[str]) -> Dimension:
    """The dimension with the condition that its model is chosen, if it belongs to one of several models."""
    if dimension.place[0] != "models":
        return dimension
    return replace(dimension, when=((MODEL, names[dimension.place[1]]), *dimension.when))


def _hyperparameters(content: Any, model: str, path: tuple, code: Code) -> list[tuple[Dimension, dict]]:
    if not isinstance(content, dict):
        return []
    content = {key: value for key, value in content.items() if key != "recipe"}  # `model_grid` refuses it
    # The other hyperparameters of a scikit-learn model depend on the classifier.
    fixed = {key: value for key, value in content.items() if key == "classifier" and isinstance(value, str)}

    def accept(field: str, value: Any) -> None:
        model_grid({model: fixed | {field: value}}, code)

    return _section(content, f"models.{model}", path, accept)


def _recipe(content: Any, path: tuple, name: str = "") -> list[tuple[Dimension, dict]]:
    """The dimensions in a recipe or a list of recipes. name: prefix of their names, by default the path."""
    name = name or ".".join(map(str, path))
    if isinstance(content, list):
        return [entry for n, part in enumerate(content) for entry in _recipe(part, (*path, n), f"{name}.{n}")]
    if not isinstance(content, dict):
        return []
    return _section(content, name, path, lambda field, value: recipe_grid({field: value}))


def _nested(content: Any, name: str, path: tuple, section: Any) -> list[tuple[Dimension, Any]]:
    """The dimensions anywhere in a grid of scenarios, each with the mapping or list that contains it.

    A dictionary with the key of a kind is a dimension. `SearchStudy.require_searchable` checks its values.
    """
    if isinstance(content, dict) and set(content) & set(_KINDS):
        try:
            return [(_dimension(content, name, path), section)]
        except AmcError as error:
            raise AmcError(f"{name}: {error}") from None
    parts: list[tuple[Any, str, Any]] = []
    if isinstance(content, dict):
        parts = [(key, f"{name}.{key}" if name else str(key), part) for key, part in content.items()]
        if len(content) == 1 and next(iter(content)) in DISTRIBUTIONS:  # bounds are named low and high
            [(kind, bounds)] = content.items()
            ends = zip((f"{name}.low", f"{name}.high"), bounds, strict=False) if isinstance(bounds, list) else ()
            return [
                entry
                for number, (end, bound) in enumerate(ends)
                for entry in _nested(bound, end, (*path, kind, number), bounds)
            ]
    elif isinstance(content, list):
        parts = [(number, f"{name}.{number}", part) for number, part in enumerate(content)]
    return [entry for key, longer, part in parts for entry in _nested(part, longer, (*path, key), content)]


def _section(section: dict, name: str, path: tuple, accept: Callable[[str, Any], Any]) -> list[tuple[Dimension, dict]]:
    """The dimensions among the fields of a section; `accept` refuses values that a field cannot take."""
    pairs = []
    for field, content in section.items():
        if not isinstance(content, dict):
            continue
        full_name = f"{name}.{field}"
        try:
            dimension = _dimension(content, full_name, (*path, field))
            for end in dimension.ends:
                accept(field, dimension.value(end))
        except AmcError as error:
            raise AmcError(f"{full_name}: {error}") from None
        pairs.append((dimension, section))
    return pairs


def _dimension(content: dict, name: str, path: tuple) -> Dimension:
    require_known("dimension's key", content, _KEYS)
    kinds = [kind for kind in _KINDS if kind in content]
    if len(kinds) != 1:
        raise AmcError("a dimension has to be {int: [low, high]}, {float: [low, high]} or {choice: [value, …]}")
    [kind] = kinds
    when = content.get("when", {})
    if not isinstance(when, dict) or ("when" in content and not when):
        raise AmcError(f"when {when!r} is not allowed: map fields of the same section to the values they need to have")
    when = tuple((str(field), _label(value)) for field, value in when.items())
    if kind == "choice":
        return Dimension(name, path, kind, choices=_choices(content), when=when)
    low, high, step = _range(kind, content)
    log = content.get("log", False)
    if not isinstance(log, bool):
        raise AmcError(f"log {log!r} is not allowed: it has to be true or false")
    if log and low <= 0:
        raise AmcError(f"a logarithmic range has to start above 0, not at {low:g}")
    if log and step is not None:
        raise AmcError("a logarithmic range cannot have a step: leave out log or step")
    return Dimension(name, path, kind, low, high, step, log, when=when)


def _choices(content: dict) -> tuple:
    choices = content["choice"]
    for key in ("step", "log"):
        if key in content:
            raise AmcError(f"{key} is not allowed with choice: it is for int and float")
    if not isinstance(choices, list) or not choices:
        raise AmcError(f"choice {choices!r} is not allowed: list at least one value")
    labels = [_label(value) for value in choices]
    if any(value != value for value in labels):
        raise AmcError("choice has the value nan, which is not allowed")
    repeated = next((value for index, value in enumerate(labels) if value in labels[:index]), None)
    if repeated is not None:
        raise AmcError(f"{repeated!r} is listed twice in choice")
    return tuple(choices)


def _range(kind: str, content: dict) -> tuple[float, float, float | None]:
    bounds = content[kind]
    if not isinstance(bounds, list) or len(bounds) != 2:
        raise AmcError(f"{kind} {bounds!r} is not allowed: give the lowest and the highest value, as [2, 10]")
    low, high = (require_number(kind, bound, -1e9, 1e9, integer=kind == "int") for bound in bounds)
    if low > high:
        raise AmcError(f"{kind} {bounds!r} is not allowed: the lower value has to come first")
    if "step" not in content:
        return low, high, None
    step = require_number("step", content["step"], -1e9, 1e9, integer=kind == "int")
    if step < 1e-12 or (Decimal(str(high)) - Decimal(str(low))) % Decimal(str(step)):
        raise AmcError(
            f"step {content['step']!r} is not allowed: it has to be positive and divide {low:g} to {high:g} evenly"
        )
    return low, high, step


def _label(value: Any) -> Any:
    """A value in a form that the storage of a search can hold."""
    return json.dumps(value, default=str) if isinstance(value, list | dict) else value


def _conditional(dimension: Dimension, section: dict, dimensions: list[Dimension]) -> Dimension:
    """The dimension with its conditions on other dimensions. Raises AmcError if a condition never holds."""
    conditions = []
    for field, label in dimension.when:
        beside = next((d for d in dimensions if d.place == (*dimension.place[:-1], field)), None)
        condition = f"{dimension.name}: when {field} is {label!r}"
        if field not in section:
            known = section if isinstance(section, dict) else ()
            raise AmcError(f"{condition}: the section has no {field}{suggest(field, known)}")
        if beside is dimension or not (beside.holds(label) if beside else _label(section[field]) == label):
            raise AmcError(f"{condition}: {field} never has this value")
        if beside:
            conditions.append((beside.name, label))
    return replace(dimension, when=tuple(conditions))


def _ordered(dimensions: list[Dimension]) -> list[Dimension]:
    """The dimensions, each after those that its conditions name."""
    ordered: list[Dimension] = []
    while len(ordered) < len(dimensions):
        placed = {dimension.name for dimension in ordered}
        ready = [d for d in dimensions if d.name not in placed and all(name in placed for name, _ in d.when)]
        if not ready:
            left = next(d for d in dimensions if d.name not in placed)
            raise AmcError(f"{left.name}: its condition depends on itself")
        ordered.append(ready[0])
    return ordered


def _conditions(dimension: Dimension, named: dict[str, Dimension]) -> Values:
    """The values of other dimensions for which this one applies."""
    return {
        name: value
        for other, label in dimension.when
        for name, value in ({other: label} | _conditions(named[other], named)).items()
    }
