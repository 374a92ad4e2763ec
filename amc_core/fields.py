"""Fields, each declared once: its default, allowed values, unit and name.

The declaration gives the check of a value, its stream of random draws, the JSON schema, and the words of tables, axes,
reports and the reference page. `declared` makes a dataclass of fields; hyperparameters of models are fields too.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, dataclass_transform

from amc_core import quantities
from amc_core.distributions import DISTRIBUTIONS, Distribution, distribution
from amc_core.errors import AmcError, suggest
from amc_core.fingerprint import DigestedPath
from amc_core.quantities import require_number, written

_DECLARATION = "declaration"  # its key in the metadata of a dataclass's field


@dataclass(frozen=True)
class Field:
    """One value that can be set. The type of `default` decides its kind.

    A float stands for a number, an int for a whole number, a bool for true or false, a string for one of `choices` or
    for a path (`file`), a tuple or list for as many numbers as the default has, or for at most `most`. low, high:
    smallest and largest allowed number; above: `low` itself is excluded. varies: a `Distribution` is allowed. exact:
    10.67 stands for 32/3, and likewise for other thirds. whole: numbers are whole, if the default is None or a list.
    optional: None is allowed. presets: names that stand for lists. reader: reads a value of any other kind, or raises
    AmcError.

    unit: of the number; shown: another unit to print it in, and the factor to that unit. symbol: a letter or two.
    label: a few words, by default the name with blanks. help: one sentence.
    """

    default: Any
    low: float = -math.inf
    high: float = math.inf
    unit: str = ""
    symbol: str = ""
    label: str = ""
    help: str = ""
    shown: tuple[str, float] | None = None
    choices: tuple[str, ...] = ()
    presets: Mapping[str, list[float]] = dataclasses.field(default_factory=dict)
    above: bool = False
    varies: bool = False
    exact: bool = False
    whole: bool = False
    optional: bool = False
    file: bool = False
    most: int = 0
    reader: Callable[[Any], Any] | None = None
    schema_of: Callable[[], dict] | None = None  # of a value that only `reader` knows

    # -- values ---------------------------------------------------------------------------------------------

    @property
    def is_whole(self) -> bool:
        return self.whole or (isinstance(self.default, int) and not isinstance(self.default, bool))

    @property
    def allowed(self) -> str:
        """The allowed values in words, for messages and pages."""
        if self.reader:
            return self.help
        if isinstance(self.default, bool):
            words = "true or false"
        elif self.choices:
            words = "one of " + ", ".join(self.choices)
        elif self.file:
            words = "the path of a file"
        elif isinstance(self.default, str):
            words = "a text without control characters"
        else:
            words = quantities.allowed(self.low, self.high, self.unit, self.above, self.is_whole)
        if isinstance(self.default, list | tuple):
            kind = "whole numbers" if self.whole else "numbers"
            count = f"a list of at most {self.most} {kind}" if self.most else f"{len(self.default)} {kind}"
            words = words.replace("a whole number" if self.whole else "a number", count)
            words += "".join(f' or "{name}"' for name in self.presets)
        return words + (", or null" if self.optional else "")

    def read(self, name: str, value: Any) -> Any:
        """A value in its canonical form. name: of the field, for messages.

        Raises AmcError, which names the field, the value and what is allowed.
        """
        if self.reader:
            return self.reader(value)
        if value is None and self.optional:
            return None
        if self.varies:
            value = distribution(name, value)
        try:
            return self._form(name, value)
        except AmcError:
            if self.choices and isinstance(self.default, str):
                raise AmcError(f"{name} {value!r} is not known{suggest(value, self.choices)}") from None
            shown = str(value) if isinstance(value, Distribution) else repr(value)
            label = f" ({self.label})" if self.label and not self.unit else ""
            raise AmcError(f"{name} {shown} is not allowed: it has to be {self.allowed}{label}") from None

    def takes(self, value: Any) -> bool:
        """Is this an allowed value?"""
        try:
            self.read("value", value)
        except AmcError:
            return False
        return True

    def _form(self, name: str, value: Any) -> Any:
        if isinstance(self.default, bool):
            return value if isinstance(value, bool) else _refuse()
        if self.file:
            return _path(value)
        if isinstance(self.default, str):
            known = isinstance(value, str) and value.isprintable() and (not self.choices or value in self.choices)
            return value if known else _refuse()
        if isinstance(self.default, list | tuple):
            return self._numbers(name, value)
        if isinstance(value, Distribution) and self.varies:
            low, high = value.extremes
            return value if self.low <= low and high <= self.high else _refuse()
        if self.exact:
            return _decimal(name, value, self.low, self.high)
        return require_number(name, value, self.low, self.high, above=self.above, integer=self.is_whole)

    def _numbers(self, name: str, value: Any) -> list[float] | tuple[float, ...]:
        if isinstance(value, str):
            value = self.presets.get(value)
        fits = isinstance(value, list | tuple) and (
            len(value) <= self.most if self.most else len(value) == len(self.default)
        )
        if not fits:
            _refuse()
        return type(self.default)(
            require_number(name, entry, self.low, self.high, integer=self.whole) for entry in value
        )

    # -- words ----------------------------------------------------------------------------------------------

    def called(self, name: str) -> str:
        """The field's name in a text: "samples per symbol L", "sample rate"."""
        label = self.label or name.replace("_", " ")
        return label if self._unit or not self.symbol else f"{label} {self.symbol}"

    def axis(self, name: str) -> str:
        """The field's name along an axis: "sample rate in kHz"."""
        return self.called(name) + (f" in {self._unit}" if self._unit else "")

    def text(self, value: Any) -> str:
        """A value, or each value of a mixture ("0.75 4 + 0.25 8"), in the unit that is shown, without that unit.

        The text is empty if the value is not known.
        """
        if isinstance(value, str) and self.shown:
            return " + ".join(self._rescaled(part) for part in value.split(" + "))
        if self.shown and isinstance(value, int | float):
            value = value * self.shown[1]
        return written(value)

    def words(self, name: str, value: Any) -> str:
        """A value with the field's name: "L = 8", "sample rate 200 kHz", "channel rician"."""
        if self.symbol and not self._unit:
            return f"{self.symbol} = {self.text(value)}"
        return f"{self.label or name.replace('_', ' ')} {self.with_unit(value)}"

    def with_unit(self, value: Any) -> str:
        """A value with its unit, "200 kHz"; empty if it is not known."""
        text = self.text(value)
        return f"{text} {self._unit}" if text and self._unit else text

    @property
    def factor(self) -> float:
        """The factor from a number to the one that is shown."""
        return self.shown[1] if self.shown else 1.0

    @property
    def _unit(self) -> str:
        return self.shown[0] if self.shown else self.unit

    def _rescaled(self, text: str) -> str:
        share, _, last = text.rpartition(" ")
        value = quantities.number(last)
        return f"{share} {written(value * self.factor)}".strip() if value is not None else text

    # -- JSON schema ----------------------------------------------------------------------------------------

    def schema(self) -> dict[str, Any]:
        """JSON Schema of one value, with a description."""
        return self._schema() | {"description": self.description}

    @property
    def description(self) -> str:
        """Help, what is allowed, and the default, in a line or two."""
        default = self.default_text
        sentences = [self.help or (self.label and f"{self.label[0].upper()}{self.label[1:]}.")]
        sentences += [] if self.reader else [f"Allowed: {self.allowed}{', or a distribution' if self.varies else ''}."]
        return " ".join(part for part in (*sentences, f"Default: {default}.") if part)

    @property
    def default_text(self) -> str:
        """The default in words."""
        preset = next((name for name, value in self.presets.items() if value == self.default), None)
        if preset is not None:
            return preset
        if self.default is None or self.default == "" or self.default == ():
            return "none"
        return str(self.default).lower() if isinstance(self.default, bool) else written(self.default, 12)

    def _schema(self) -> dict[str, Any]:
        if self.schema_of:
            return self.schema_of()
        if isinstance(self.default, bool):
            return {"type": "boolean"}
        if self.choices:
            return {"enum": list(self.choices)}
        if isinstance(self.default, str):
            return {"type": "string"}
        bounds = {"exclusiveMinimum" if self.above else "minimum": self.low, "maximum": self.high}
        value = {"type": ["integer" if self.is_whole else "number", "string"]}  # YAML reads 1e-3 and 32/3 as texts
        value |= {name: bound for name, bound in bounds.items() if math.isfinite(bound)}
        if isinstance(self.default, list | tuple):
            count = {"maxItems": self.most} if self.most else dict.fromkeys(("minItems", "maxItems"), len(self.default))
            value = {"type": "array", "items": value} | count
            return {"anyOf": [value, {"enum": list(self.presets)}]} if self.presets else value
        others = [_distribution_schema()] if self.varies else []
        others += [{"type": "null"}] if self.optional else []
        return {"anyOf": [value, *others]} if others else value


@dataclass_transform(field_specifiers=(Field,), frozen_default=True)
def declared(cls: type) -> type:
    """A frozen dataclass of a class whose fields are `Field`s, and which `read_fields` checks."""
    for name, field in list(vars(cls).items()):
        if isinstance(field, Field):
            setattr(cls, name, dataclasses.field(default=field.default, metadata={_DECLARATION: field}))
    return dataclass(frozen=True)(cls)


def fields_of(cls: Any) -> dict[str, Field]:
    """Name → declaration, of a class that is `declared` or an instance of it."""
    return _fields_of(cls if isinstance(cls, type) else type(cls))


@cache
def _fields_of(cls: type) -> dict[str, Field]:
    return {f.name: f.metadata[_DECLARATION] for f in dataclasses.fields(cls) if _DECLARATION in f.metadata}


def read_fields(instance: Any) -> None:
    """Bring every declared field of an instance into its canonical form, in its `__post_init__`. Raises AmcError."""
    for name, field in fields_of(instance).items():
        value = getattr(instance, name)
        if value is not field.default:
            object.__setattr__(instance, name, field.read(name, value))


def plain(value: Any) -> Any:
    """A field's value as JSON can hold it, from which the field reads the same again."""
    if isinstance(value, tuple):
        return [plain(entry) for entry in value]
    return value.as_dict() if hasattr(value, "as_dict") else value


def column(field: Field, value: Any) -> str | float:
    """A field's value as a cell of a table: a file by name and content, a distribution as "uniform(0.1, 0.5)"."""
    if field.file:
        return value.label if value else ""
    return str(value) if isinstance(value, Distribution) else value


def _path(value: Any) -> str:
    """The path of a file, with the digest of its content if that is given."""
    content = ""
    if isinstance(value, Mapping) and set(value) == {"path", "content"}:
        value, content = value["path"], value["content"]
    if not isinstance(value, str) or not isinstance(content, str):
        _refuse()
    return DigestedPath(value, content) if value else ""


def _refuse() -> None:
    raise AmcError("it is not allowed")  # `Field.read` says what is allowed


def _decimal(name: str, value: Any, low: float, high: float) -> float:
    """A number; a third is kept with two decimals, 10.67, so that tables can be queried by what the study says."""
    exact = quantities.ratio(value)
    if exact is None or not low <= exact <= high:
        _refuse()
    return round(float(exact), 2) if exact.denominator == 3 else float(exact)


def _distribution_schema() -> dict[str, Any]:
    number = {"type": ["number", "string"]}
    bounds = {"type": "array", "items": number, "minItems": 2, "maxItems": 2}
    kinds = {
        kind: bounds | {"description": f"[lower, higher]: drawn for every instance, {help}."}
        for kind, help in DISTRIBUTIONS.items()
    }
    return {"type": "object", "properties": kinds, "additionalProperties": False}
