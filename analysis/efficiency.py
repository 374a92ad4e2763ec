"""Accuracy against cost: parameters and multiply-accumulates of the networks that reach it."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from amc_core.errors import AmcError
from amc_core.models import build_model, model_spec
from amc_core.models.complexity import multiply_accumulates, parameters
from analysis.pivots import accuracy_by

_NETWORK = ["model", "code", "hyperparameters", "classes", "length"]


def efficiency(cells: pd.DataFrame) -> pd.DataFrame:
    """A row per network of the table "cells": its accuracy, its size, and the accuracy per size; the smallest first.

    Columns: model, hyperparameters (as JSON), classes, length (of training); n, accuracy, accuracy_low, accuracy_high,
    from `accuracy_by`, over all test settings and SNRs; parameters; multiply_accumulates for one instance of the
    training length, see `amc_core.models.complexity`; accuracy_per_parameter; accuracy_per_multiply_accumulate. The
    size of the user's own network is NaN, since its code is not run; accuracy per size 0 is NaN too.
    """
    table = accuracy_by(cells, _NETWORK)
    sizes = [_size(row) for row in table[_NETWORK].to_dict("records")]
    table[["parameters", "multiply_accumulates"]] = np.array(sizes, float).reshape(-1, 2)
    for unit in ("parameter", "multiply_accumulate"):
        table[f"accuracy_per_{unit}"] = table["accuracy"] / table[f"{unit}s"].replace(0, np.nan)
    table = table.sort_values(["parameters", "multiply_accumulates"], kind="stable", ignore_index=True)
    return table.drop(columns=["code", "correct", "seeds", "network_low", "network_high"])


def _size(network: dict) -> tuple[float, float]:
    """Parameters and multiply-accumulates."""
    if network["code"]:
        return np.nan, np.nan
    if model_spec(network["model"]).knows_setting:  # it has no layers
        return 0, 0
    hyperparameters = json.loads(network["hyperparameters"])
    try:
        built = build_model(network["model"], network["classes"], network["length"], **hyperparameters)
    except AmcError:  # a record that somebody has written
        return np.nan, np.nan
    return parameters(built), multiply_accumulates(built, network["length"])
