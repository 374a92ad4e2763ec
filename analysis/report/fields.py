"""The fields of the cells that can be an axis of the page, in words."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Any

import pandas as pd

from amc_core.errors import AmcError
from amc_core.models import MODELS, model_order, model_title, validate_hyperparameters
from amc_core.reference import called, symbol, value_text
from amc_core.scenario import SCENARIO_FIELDS, Scenario
from analysis.columns import RECIPE, TEST, TRAIN
from analysis.pivots import varied

OF_RUN = ["model", "hyperparameters", "start", *TRAIN, "classes", "instances", "length", *RECIPE, "seed"]
OF_TEST = [*TEST, "test_length"]


def varies(each: pd.DataFrame, column: str) -> bool:
    """Does a column take several values for some model?

    For fields of simulated scenarios, recordings are left out, since they have no such fields.
    """
    if column == "model":
        return each[column].nunique(dropna=False) > 1
    return bool(varied(each, [column]))


def fixed_in_words(each: pd.DataFrame) -> list[str]:
    """The fields that all scenarios have in common, in words; most fields at their default are left out."""
    usual, texts = Scenario().columns(), []
    for name in SCENARIO_FIELDS:
        sides = [f"{side}_{name}" for side in ("train", "test") if not varies(each, f"{side}_{name}")]
        values = {column: each[column].iloc[0] for column in sides}
        values = {column: value for column, value in values.items() if value == value and value != ""}
        if name not in ("channel", "upsampling", "rolloff", "sample_rate"):  # shown even at their default
            values = {column: value for column, value in values.items() if value != usual[name]}
        if len(values) == 2 and len(set(values.values())) == 1:
            texts.append(f"{called(name)} {_in_words(name, values[f'train_{name}'])}")
        else:
            texts += [f"{_label(column)} {_in_words(column, value)}" for column, value in values.items()]
    return texts


def telling_hyperparameters(each: pd.DataFrame) -> pd.Series:
    """Hyperparameters in which runs of the model differ, as "blocks=4"."""
    differences = {}
    for model, texts in each.groupby("model")["hyperparameters"]:
        given = {text: json.loads(text) for text in texts.unique()}
        if model in MODELS:  # a record of another release may lack a newer hyperparameter, or have one that is gone
            with suppress(AmcError):
                given = {text: validate_hyperparameters(model, values) for text, values in given.items()}
        names = sorted({name for values in given.values() for name in values})
        differing = [name for name in names if len({str(values.get(name)) for values in given.values()}) > 1]
        for text, values in given.items():
            differences[model, text] = ", ".join(f"{name}={values[name]}" for name in differing if name in values)
    return pd.Series(
        [differences[pair] for pair in zip(each["model"], each["hyperparameters"], strict=True)], each.index
    )


def field_of(each: pd.DataFrame, column: str) -> dict:
    """An axis of the heat map: its values in words, in order, and the index of every cell's value."""
    values = [None if value != value else value for value in each[column].tolist()]
    order = sorted(dict.fromkeys(values), key=lambda value: _rank(column, value))
    codes = {value: code for code, value in enumerate(order)}
    side = "test" if column in OF_TEST else "train"
    texts = [_in_words(column, value) for value in order]
    names = {"name": column, "label": _label(column), "short": _label(column, symbol)}
    return names | {"side": side, "values": texts, "codes": [codes[value] for value in values]}


def _rank(column: str, value: Hashable) -> tuple:
    """A sort key: numbers, then texts, then unknown values; models in the order of the registry."""
    if column == "model":
        return model_order(value)
    return value is None, isinstance(value, str), value if value is not None else 0


def _label(column: str, words: Callable[[str], str] = called) -> str:
    """ "training samples per symbol L"; with the words of `symbol`, "train L"."""
    if column == "start":
        return "started from a run with" if words is called else "start"
    if column not in (*TRAIN, *OF_TEST):
        return words(column)
    side = column.partition("_")[0]
    return f"{'training' if side == 'train' and words is called else side} {words(column)}"


def _in_words(column: str, value: Any) -> str:
    if value is None or value != value or value == "":
        return "–"
    return model_title(value) if column == "model" else value_text(column, value, unit=True)
