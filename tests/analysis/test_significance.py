"""Paired differences of networks that were tested on the same instances."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from amc_core import AmcError
from analysis import load, significance
from sweeps.engine.trial import compute
from sweeps.planning import make_plan
from sweeps.store import Store
from sweeps.study import load_study

TESTS = [("a", 0.0), ("a", 9.0), ("b", 0.0)]


def cells_of(**models: list[np.ndarray]) -> pd.DataFrame:
    """Cells of models, of each the outcomes [tests, instances] of every seed."""
    return pd.DataFrame(
        {
            "model": model,
            "run": f"{model} {seed}",
            "seed": seed,
            "test": test,
            "snr_db": snr,
            "n": len(right),
            "right": np.packbits(right).tobytes(),
        }
        for model, seeds in models.items()
        for seed, outcomes in enumerate(seeds)
        for (test, snr), right in zip(TESTS, outcomes, strict=True)
    )


def test_networks_of_one_seed_are_compared_by_mcnemars_test():
    own, other = np.random.default_rng(0).random((2, 3, 101)) < [[[0.7]], [[0.6]]]
    [row] = significance(cells_of(one=[own], other=[other])).to_dict("records")
    only = (own & ~other).sum(), (~own & other).sum()
    assert row["p"] == pytest.approx(stats.binomtest(int(only[0]), int(sum(only))).pvalue)
    assert row["difference"] == pytest.approx(own.mean() - other.mean()) and row["n"] == 303
    assert row["low"] < row["difference"] < row["high"]


def test_networks_of_several_seeds_are_compared_seed_by_seed():
    rng = np.random.default_rng(0)
    base = rng.random((3, 500)) < 0.6
    own = [base | (rng.random(base.shape) < extra) for extra in (0.2, 0.3, 0.25)]
    [row] = significance(cells_of(one=own, other=[base, base, base])).to_dict("records")
    gains = [right.mean() - base.mean() for right in own]
    assert row["difference"] == pytest.approx(np.mean(gains)) and (row["seeds"], row["n"]) == (3, 1500)
    student = stats.t.ppf(0.975, 2) * np.std(gains, ddof=1) / np.sqrt(3)
    assert student < row["high"] - row["difference"] < 1.5 * student and row["holds"]
    at_p = significance(cells_of(one=own, other=[base, base, base]), level=1 - row["p"]).iloc[0]
    assert at_p["low"] == pytest.approx(0, abs=1e-6)


def test_a_model_that_draws_nothing_is_set_beside_every_seed_of_another():
    rng = np.random.default_rng(0)
    same, own = rng.random((3, 200)) < 0.5, [rng.random((3, 200)) < 0.8 for _ in range(2)]
    cells = cells_of(one=own, other=[same, same])
    cells["weights"] = cells["run"].where(cells["model"] == "one", "equal")
    [row] = significance(cells).to_dict("records")
    assert row["seeds"] == 2 and row["difference"] == pytest.approx(np.mean(own) - same.mean())


def test_differences_of_many_models_hold_less_easily():
    outcomes = np.random.default_rng(0).random((8, 3, 400)) < 0.5  # all alike
    table = significance(cells_of(**{f"model {i}": [right] for i, right in enumerate(outcomes)}))
    assert len(table) == 28 and not table["holds"].any() and (table["p_holm"] >= table["p"]).all()


def test_differences_at_each_snr_are_told_apart():
    own, other = np.random.default_rng(0).random((2, 3, 100)) < 0.5
    table = significance(cells_of(one=[own], other=[other]), by="snr_db")
    assert table["snr_db"].tolist() == [0, 9] and table["n"].tolist() == [200, 100]


def test_several_runs_of_a_side_on_the_same_instances_are_refused():
    right = np.ones((3, 8), bool)
    cells = cells_of(one=[right], other=[right])
    with pytest.raises(AmcError, match="name in by"):
        significance(pd.concat([cells, cells]))
    with pytest.raises(AmcError, match="'right'"):
        significance(cells.drop(columns="right"))


def test_the_outcomes_in_a_store_give_the_differences_of_its_accuracies(study_file, tmp_path):
    path = study_file(recipe="{epochs: 1, batch_size: 16}", train="{channel: awgn}")
    study, store = load_study(path), Store(tmp_path / "store")
    for plan in make_plan(study, store).incomplete:
        list(compute(plan.run, study.tests(plan.run), store))
    columns = ["run", "model", "seed", "weights", "test", "snr_db", "n", "correct", "right"]
    cells = load("cells", store.path, path, columns=columns)
    counts = cells.groupby("model")[["correct", "n"]].sum()
    accuracy = counts["correct"] / counts["n"]
    [row] = significance(cells).to_dict("records")
    assert row["difference"] == pytest.approx(accuracy[row["model_1"]] - accuracy[row["model_2"]])
