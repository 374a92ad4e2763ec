"""Names, units and values of the columns of tables, from the declarations of fields."""

from __future__ import annotations

from dataclasses import MISSING
from typing import Any

from amc_core.fields import Field, fields_of
from amc_core.run import Dataset, Recipe
from amc_core.scenario import Scenario

_DATASET = fields_of(Dataset)
_FIELDS = {
    **fields_of(Scenario),
    **fields_of(Recipe),
    "instances": _DATASET["instances"],
    "length": _DATASET["length"],
    "dataset_seed": _DATASET["seed"],
    "split": _DATASET["split"],
    "snr_db": Field(MISSING, unit="dB", label="SNR"),
}
_ANY = Field(MISSING)


def field_of(column: str) -> Field | None:
    """The declaration of the field in a column, without `train_` or `test_`; None for any other column."""
    return _FIELDS.get(name_of(column))


def name_of(column: str) -> str:
    """A column's name without "train_" or "test_" if the rest is a field."""
    side, _, name = column.partition("_")
    return name if side in ("train", "test") and name in _FIELDS else column


def called(column: str) -> str:
    """The name of a column in a text: "samples per symbol L"; for other columns than fields, the name with blanks."""
    field = field_of(column)
    return field.called(name_of(column)) if field else column.replace("_", " ")


def axis(column: str) -> str:
    """A column's name along an axis, with its unit: "sample rate in kHz"."""
    field = field_of(column)
    return field.axis(name_of(column)) if field else column.replace("_", " ")


def symbol(column: str) -> str:
    """The symbol of a column, for narrow headings; its name in a text if it has none."""
    field = field_of(column)
    return field.symbol if field and field.symbol else called(column)


def factor(column: str) -> float:
    """The factor from a value of a column to the one along its axis."""
    return (field_of(column) or _ANY).factor


def in_words(column: str, value: Any) -> str:
    """A value of a column with the column's name: "L = 8", "sample rate 200 kHz"; of a mixture, each value once."""
    field, value = field_of(column), different(value)
    return field.words(name_of(column), value) if field else f"{called(column)} {value_text(column, value)}"


def different(value: Any) -> Any:
    """The different values of a mixture, in their order: "awgn + rician". Any other value stays."""
    return " + ".join(dict.fromkeys(value.split(" + "))) if isinstance(value, str) else value


def value_text(column: str, value: Any, unit: bool = False) -> str:
    """A value of a column in the unit that is shown; unit: append that unit?"""
    field = field_of(column) or _ANY
    return field.with_unit(value) if unit else field.text(value)
