"""Accuracy per parameter and per multiply-accumulate."""

import json

import pandas as pd
import pytest

from amc_core.models import build_model
from amc_core.models.complexity import multiply_accumulates, parameters
from analysis.efficiency import efficiency
from sweeps.engine.trial import compute
from sweeps.store import Store
from sweeps.study import load_study


def cells(*rows: dict) -> pd.DataFrame:
    usual = {"code": "", "hyperparameters": "{}", "classes": 4, "length": 128, "seed": 0, "snr_db": 18.0, "n": 100}
    return pd.DataFrame([usual | row for row in rows])


def test_accuracy_is_divided_by_what_is_counted_in_the_network_that_was_trained():
    blocks = json.dumps({"blocks": 2})
    table = efficiency(
        cells(
            {"model": "classnet", "hyperparameters": blocks, "correct": 90},
            {"model": "mod_lcnn", "correct": 60},
            {"model": "mod_lcnn", "correct": 80, "snr_db": 6.0},
        )
    )
    assert table["parameters"].is_monotonic_increasing
    table = table.set_index("model")
    for model, accuracy, more in (("classnet", 0.9, {"blocks": 2}), ("mod_lcnn", 0.7, {})):
        network, row = build_model(model, 4, 128, **more), table.loc[model]
        size, operations = parameters(network), multiply_accumulates(network, 128)
        assert (row["accuracy"], row["parameters"], row["multiply_accumulates"]) == (accuracy, size, operations)
        assert row["accuracy_per_parameter"] == pytest.approx(accuracy / size)
        assert row["accuracy_per_multiply_accumulate"] == pytest.approx(accuracy / operations)
        assert row["accuracy_low"] < accuracy < row["accuracy_high"]


def test_nothing_is_divided_by_nothing_and_nobodys_code_is_run():
    table = efficiency(
        cells(
            {"model": "likelihood", "correct": 95},
            {"model": "hoc_svm", "correct": 90},
            {"model": "mine", "code": "0f", "correct": 50},
        )
    ).set_index("model")
    assert table.loc["likelihood", "parameters"] == 0 and pd.isna(table.loc["likelihood", "accuracy_per_parameter"])
    fitted = parameters(build_model("hoc_svm", 4, 128))
    assert table.loc["hoc_svm", "accuracy_per_parameter"] == pytest.approx(0.9 / fitted)
    assert pd.isna(table.loc["hoc_svm", "accuracy_per_multiply_accumulate"])
    assert table.loc["mine", ["parameters", "multiply_accumulates"]].isna().all()


def test_amc_efficiency_prints_a_row_per_network_and_writes_it(study_file, tmp_path, amc):
    path, store = study_file(train="{channel: awgn}", models="hoc_svm"), Store(tmp_path / "store")
    study = load_study(path)
    for run in study.runs():
        list(compute(run, list(study.tests(run)), store))
    done = amc("efficiency", path, "--store", str(store.path), "--csv", str(tmp_path / "e.csv"))
    assert done.returncode == 0, done.stderr
    assert "hoc_svm" in done.stdout and "% per 1000" in done.stdout
    [row] = pd.read_csv(tmp_path / "e.csv").to_dict("records")
    assert row["accuracy_per_parameter"] == pytest.approx(row["accuracy"] / row["parameters"])
    refused = amc("efficiency", path, "--store", str(store.path), "--snr", "high")
    assert refused.returncode == 2 and "--snr 'high' is not allowed" in refused.stderr
