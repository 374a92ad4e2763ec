"""Paired differences of networks that were tested on the same instances."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from amc_core import AmcError, Scenario
from analysis import PAIRED, load, significance
from analysis.columns import scenario_columns
from sweeps.engine.trial import compute
from sweeps.planning import make_plan
from sweeps.store import Store
from sweeps.study import load_study

TESTS = [(4, 0.0), (4, 9.0), (8, 0.0)]  # samples per symbol and SNR
SET = "BPSK, QPSK, 8PSK"


def row_of(model: str, seed: int, upsampling: float, snr: float, sent: str, right: np.ndarray, trained: str) -> dict:
    """A row of the table cells, from outcomes [modulations, instances] of those of `sent` that were trained."""
    return {
        **{"model": model, "run": f"{model} {seed} {trained}", "seed": seed, "weights": f"{model} {seed} {trained}"},
        **{"modulation_set": trained, "dataset_seed": 0, "test": f"{upsampling} {sent}", "test_modulation_set": sent},
        **scenario_columns("test", Scenario(upsampling=upsampling)),
        **{"test_instances": right.shape[-1], "test_length": 128, "snr_db": snr},
        **{"n": right.size, "right": np.packbits(right).tobytes()},
    }


def cells_of(**models: list[np.ndarray]) -> pd.DataFrame:
    """Cells of models, of each the outcomes [tests, instances] of every seed."""
    return pd.DataFrame(
        row_of(model, seed, *test, "GFSK", right[None], "GFSK")
        for model, seeds in models.items()
        for seed, outcomes in enumerate(seeds)
        for test, right in zip(TESTS, outcomes, strict=True)
    )


def of_sets(sent: str, *sets: str, trained: str = SET, **models: np.ndarray) -> pd.DataFrame:
    """Cells of models that were tested on several sets, from outcomes [modulations of `sent`, instances]."""
    return pd.DataFrame(
        row_of(model, 0, 8, 0.0, names, right[[sent.split(", ").index(name) for name in names.split(", ")]], trained)
        for model, right in models.items()
        for names in sets
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
    with pytest.raises(AmcError, match="name the columns in which they differ in by"):
        significance(pd.concat([cells, cells.assign(weights="others")]))
    with pytest.raises(AmcError, match="needs column 'right'"):
        significance(cells.drop(columns="right"))
    with pytest.raises(AmcError, match=r"'test_channel': load cells with columns=\[\*analysis.PAIRED, 'model'\]"):
        significance(cells.drop(columns="test_channel"))


@pytest.mark.parametrize("sets", [(SET, "QPSK, 8PSK"), ("BPSK, QPSK", "QPSK, 8PSK"), (SET, "8PSK, QPSK", "BPSK")])
def test_an_instance_that_tests_of_several_sets_share_counts_once(sets):
    own, other = np.random.default_rng(0).random((2, 3, 40)) < [[[0.7]], [[0.55]]]
    [row] = significance(of_sets(SET, *sets, one=own, other=other)).to_dict("records")
    only = int((own & ~other).sum()), int((other & ~own).sum())
    assert row["p"] == pytest.approx(stats.binomtest(only[0], sum(only)).pvalue)
    assert row["n"] == 120 and row["difference"] == pytest.approx(own.mean() - other.mean())
    [alone] = significance(of_sets(SET, SET, one=own, other=other)).to_dict("records")
    assert [row[name] for name in ("p", "low", "high")] == pytest.approx([alone[name] for name in ("p", "low", "high")])


def test_trainings_on_several_sets_do_not_add_the_instances_that_these_share():
    rng = np.random.default_rng(0)
    own, other = rng.random((2, 2, 2, 200)) < 0.5  # two trainings of either side, alike but for chance
    names = "BPSK, QPSK"
    once, again = (
        of_sets(names, sent, trained=trained, one=own[i], other=other[i])
        for i, (sent, trained) in enumerate([(names, SET), ("QPSK, BPSK", "QPSK, BPSK, 8PSK")])
    )
    [row] = significance(pd.concat([once, again])).to_dict("records")
    widths = [each["high"] - each["low"] for each in (row, significance(once).iloc[0])]
    assert row["n"] == 400 and row["difference"] == pytest.approx(own.mean() - other.mean())
    assert widths[0] == pytest.approx(widths[1], rel=0.1)


def test_networks_trained_on_other_sets_are_compared_on_the_modulations_that_both_know():
    own, other = np.random.default_rng(0).random((2, 3, 41)) < [[[0.7]], [[0.55]]]
    cells = pd.DataFrame(
        [row_of("one", 0, 8, 0.0, SET, own, SET), row_of("other", 0, 8, 0.0, SET, other[1:], "QPSK, 8PSK, GFSK")]
    )
    [row] = significance(cells).to_dict("records")
    assert row["n"] == 82 and row["difference"] == pytest.approx(own[1:].mean() - other[1:].mean())


def test_modulations_of_a_recording_with_unequal_numbers_are_taken_together():
    own, other = np.random.default_rng(0).random((2, 1, 101)) < [[[0.7]], [[0.5]]]
    cells = of_sets("BPSK", "BPSK", one=own, other=other).assign(test_instances=np.nan, test_modulation_set=SET)
    [row] = significance(cells).to_dict("records")
    assert row["n"] == 101 and row["difference"] == pytest.approx(own.mean() - other.mean())


def test_the_outcomes_in_a_store_give_the_differences_of_its_accuracies(study_file, tmp_path):
    path = study_file(recipe="{epochs: 1, batch_size: 16}", train="{channel: awgn}")
    study, store = load_study(path), Store(tmp_path / "store")
    for plan in make_plan(study, store).incomplete:
        list(compute(plan.run, study.tests(plan.run), store))
    cells = load("cells", store.path, path, columns=["model", "correct", *PAIRED])
    counts = cells.groupby("model")[["correct", "n"]].sum()
    accuracy = counts["correct"] / counts["n"]
    [row] = significance(cells).to_dict("records")
    assert row["difference"] == pytest.approx(accuracy[row["model_1"]] - accuracy[row["model_2"]])


def test_a_level_in_percent_is_refused():
    right = np.ones((3, 5), bool)
    for level in (95, 0, 1, float("nan")):
        with pytest.raises(AmcError, match=r"level .* is not allowed: it has to be between 0 and 1"):
            significance(cells_of(one=[right], other=[right]), level=level)
