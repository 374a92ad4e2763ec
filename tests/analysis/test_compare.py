"""Published numbers beside results."""

import math
from dataclasses import replace

import pandas as pd
import pytest

from amc_core import AmcError
from analysis import compare as module
from analysis import load
from analysis.columns import COLUMNS
from analysis.compare import by_chance, compare, verdict
from analysis.measures import NotRun, measure, selected
from analysis.published import PUBLISHED, QUANTITIES, Published
from sweeps.engine.trial import compute
from sweeps.planning import make_plan
from sweeps.store import Store
from sweeps.study import SHIPPED, load_study

DROP = Published("drop", 0.2, "P1", "§", "words", "small", "drop")


class Held:
    """Tables made by hand."""

    def __init__(self, **tables: list[dict]):
        self.__dict__.update({name: pd.DataFrame(rows) for name, rows in tables.items()})


def test_every_published_number_has_its_place_its_words_and_a_shipped_study():
    for entry in PUBLISHED:
        assert entry.what and entry.place and entry.quote and entry.quantity in QUANTITIES
        assert entry.study is None or (SHIPPED / f"{entry.study}.yaml").exists()
        assert {*entry.rows, *entry.against} <= {*COLUMNS["cells"], *COLUMNS["runs"]}
    assert len({(entry.what, entry.place) for entry in PUBLISHED}) == len(PUBLISHED)


def test_the_numbers_stand_in_the_words_that_are_quoted():
    for entry in PUBLISHED:
        if entry.value == 0 or "orders of magnitude" in entry.quote or entry.place.startswith("Table"):
            continue
        digits = {f"{entry.value:,.10g}", f"{100 * entry.value:.10g}", f"{100 * (entry.value - 1):.10g}"}
        digits |= {"twice"} if entry.value == 2 else {"10^-4"} if entry.value == 1e-4 else {"10^-2"}
        assert any(number in entry.quote for number in digits), entry


@pytest.mark.parametrize(
    ("value", "bound", "ours", "expected"),
    [
        (0.20, "about", (0.21, 0.19, 0.23), "agrees"),
        (0.20, "about", (0.30, 0.28, 0.32), "direction agrees"),
        (0.20, "about", (0.01, -0.01, 0.03), "differs"),
        (0.20, "about", (0.10, -0.05, 0.25), "undecided"),
        (0.20, "about", (-0.10, -0.12, -0.08), "differs"),
        (0.20, "at most", (0.05, 0.03, 0.07), "agrees"),
        (0.20, "at most", (0.30, 0.28, 0.32), "direction agrees"),
        (0.20, "at least", (0.30, 0.28, 0.32), "agrees"),
        (0.20, "at least", (0.10, 0.08, 0.12), "direction agrees"),
        (0.00, "at least", (0.02, 0.01, 0.03), "agrees"),
        (0.20, "at most", (0.18, 0.10, 0.26), "undecided"),
        (0.20, "at least", (0.18, 0.10, 0.26), "undecided"),
        (0.00, "at least", (0.01, -0.01, 0.03), "undecided"),
        (0.00, "at least", (-0.02, -0.03, -0.01), "differs"),
        (0.00, "at most", (-0.02, -0.03, -0.01), "agrees"),
        (0.20, "about", (math.nan,) * 3, "differs"),
    ],
)
def test_a_verdict_weighs_the_published_number_against_our_interval(value, bound, ours, expected):
    assert verdict(replace(DROP, value=value, bound=bound), ours) == expected


def test_an_accuracy_has_no_direction_and_parameters_no_tolerance():
    assert verdict(replace(DROP, quantity="accuracy"), (0.4, 0.38, 0.42)) == "differs"
    parameters = replace(DROP, quantity="parameters", value=100, tolerance=5)
    assert (verdict(parameters, (100,) * 3), verdict(parameters, (101,) * 3)) == ("agrees", "differs")
    assert verdict(DROP, None) == "not run"


def test_of_a_list_every_value_must_have_been_run():
    cells = pd.DataFrame({"test_upsampling": [2.0, 4.0], "patience": [math.nan, 3]})
    assert len(selected(cells, {"test_upsampling": [2.0, 4.0]})) == 2
    assert len(selected(cells, {"patience": None})) == 1
    for filters in ({"test_upsampling": [2.0, 8.0]}, {"test_upsampling": 2.0, "patience": 3}):
        with pytest.raises(NotRun):
            selected(cells, filters)


def test_drops_and_gains_are_differences_of_pooled_accuracies_and_the_largest_is_meant():
    rows = ((2.0, 20), (4.0, 50), (8.0, 80))
    held = Held(cells=[{"test_upsampling": value, "n": 100, "correct": correct} for value, correct in rows])
    entry = replace(DROP, rows={"test_upsampling": [2.0, 4.0]}, against={"test_upsampling": 8.0})
    assert measure(entry, held)[0] == pytest.approx(0.8 - 0.35)
    assert measure(replace(entry, over="test_upsampling"), held)[0] == pytest.approx(0.6)
    gain = measure(replace(entry, quantity="gain"), held)
    assert gain[0] == pytest.approx(0.35 - 0.8) and gain[1] < gain[0] < gain[2]
    assert measure(replace(entry, quantity="relative_gain"), held)[0] == pytest.approx(0.35 / 0.8 - 1)


def test_the_snr_gain_is_how_far_one_curve_lies_before_another():
    def curve(model: str, late: float) -> list[dict]:
        return [
            {"model": model, "snr_db": float(s), "n": 1000, "correct": 20 * (s - late) + 100} for s in range(0, 31, 10)
        ]

    held = Held(cells=[*curve("mod_lrcnn", 0), *curve("resnet", 4)])
    entry = replace(DROP, quantity="snr_gain", rows={"model": "mod_lrcnn"}, against={"model": "resnet"})
    value, low, high, *_ = measure(entry, held)
    assert value == pytest.approx(4) and 2 < low < 4 < high < 7
    largest = replace(entry, quantity="largest_snr_gain")
    assert measure(largest, held)[0] == pytest.approx(4) and math.isnan(measure(largest, held)[1])
    assert verdict(largest, measure(largest, held)) == "no verdict"  # chance makes the largest of many larger
    few = [row | {"n": 10, "correct": row["correct"] // 100} for row in held.cells.to_dict("records")]
    _, low, high, *_ = measure(entry, Held(cells=few))
    assert low < 0 < high  # of ten instances an SNR


def test_the_offset_is_the_smallest_at_which_the_share_is_lost():
    accuracies = {0.0: 80, 1e-4: 79, 1e-3: 70, 1e-2: 25, 1e-1: 21}
    rows = [
        {"test_relative_carrier_offset": sign * f, "n": 100, "correct": correct, "classes": 5}
        for f, correct in accuracies.items()
        for sign in (-1, 1)
    ]
    entry = replace(DROP, quantity="offset", value=1e-3, tolerance=0.5, share=0.1)
    assert measure(entry, Held(cells=rows))[0] == 1e-3
    assert verdict(entry, measure(entry, Held(cells=rows))) == "agrees"
    assert verdict(entry, measure(replace(entry, share=0.8), Held(cells=rows))) == "differs"
    assert math.isinf(measure(replace(entry, share=1), Held(cells=rows))[0])


def test_parameters_and_speeds_come_from_their_tables():
    models = {
        "a": {"run": "1", "parameters": 10, "device": "GPU"},
        "b": {"run": "2", "parameters": 40, "device": "GPU"},
    }
    rates = [{"run": "1", "instances_per_second": 100.0}, {"run": "2", "instances_per_second": 50.0}]
    runs = [{"model": model} | values for model, values in models.items()]
    epochs = [{"model": model} | rate for model, rate in zip(models, rates, strict=True)]
    held = Held(runs=runs, epochs=epochs)
    entry = replace(DROP, rows={"model": "a"}, against={"model": "b"}, instances=2000)
    expected = {"parameters": 10, "parameter_ratio": 4, "speed_ratio": 2, "epoch_seconds": 20}
    assert {quantity: measure(replace(entry, quantity=quantity), held)[0] for quantity in expected} == expected
    on_cpu = Held(runs=[run | {"device": "cpu"} for run in runs], epochs=epochs)
    for quantity in ("speed_ratio", "epoch_seconds"):  # the papers' are of a GPU
        with pytest.raises(NotRun):
            measure(replace(entry, quantity=quantity), on_cpu)


@pytest.fixture
def small(study_file, tmp_path, monkeypatch):
    """A study of one classifier, two published numbers that belong to it, and a store."""
    path = study_file(models="[hoc_svm]", scales="{small: {instances: 10}}")
    rows = {"train_channel": "awgn", "test_channel": "rician"}
    numbers = (
        replace(DROP, rows=rows, against=rows | {"test_channel": "awgn"}),
        replace(DROP, what="another", quantity="accuracy", rows=rows | {"test_upsampling": 32.0}),
    )
    monkeypatch.setattr(module, "PUBLISHED", numbers)
    study, store = load_study(path, "small"), Store(tmp_path / "store")
    for plan in make_plan(study, store).incomplete:
        list(compute(plan.run, study.tests(plan.run), store))
    return path, str(store.path)


def test_results_are_told_with_their_scale(small):
    path, store = small
    rows = compare(path, store, "small")
    cells = selected(load("cells", store, path, "small"), {"train_channel": "awgn"})
    accuracy = cells.groupby("test_channel")[["correct", "n"]].sum()
    accuracy = accuracy["correct"] / accuracy["n"]
    assert rows["ours"][0] == pytest.approx(accuracy["awgn"] - accuracy["rician"])
    assert rows["run_at"].tolist() == ["small: 10 × 1", ""]
    assert rows["verdict"][1] == "not run" and math.isnan(rows["ours"][1])
    assert set(compare(path, store)["verdict"]) == {"not run"}  # at the scale as written


def test_the_command_prints_the_table_or_writes_it(amc, small, tmp_path):
    path, store = small
    shown = amc("compare", path, "--store", store, "--scale", "small")
    assert shown.returncode == 0 and "20.0 %" in shown.stdout and "not run" in shown.stdout
    csv = tmp_path / "compare.csv"
    assert amc("compare", path, "--store", store, "--csv", str(csv)).returncode == 0
    assert pd.read_csv(csv)["quote"].tolist() == ["words", "words"]


def test_a_study_without_published_numbers_is_refused(amc):
    refused = amc("compare", "quickstart")
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1 and "p1-fig02" in refused.stderr
    with pytest.raises(AmcError):
        compare("quickstart")


def test_all_studies_can_be_compared_with_an_empty_store(tmp_path):
    rows = compare(None, tmp_path / "nothing")
    assert len(rows) == len(PUBLISHED) and set(rows["verdict"]) == {"not run"}


def test_several_seeds_widen_an_interval_to_that_of_another_training():
    def rows(seed: int, right: int) -> list[dict]:
        drops = ((2.0, right - 40), (8.0, right))
        return [{"seed": seed, "test_upsampling": value, "n": 1000, "correct": 10 * c} for value, c in drops]

    entry = replace(DROP, rows={"test_upsampling": 2.0}, against={"test_upsampling": 8.0})
    seeds = [row for seed, right in enumerate((70, 60, 80)) for row in rows(seed, right)]
    one, same = (measure(entry, Held(cells=some)) for some in (rows(0, 70), seeds))
    assert (one.value, same.value) == pytest.approx((0.4, 0.4)) and (one.seeds, same.seeds) == (1, 3)
    assert math.isnan(one.spread) and same.spread == pytest.approx(0)  # seed by seed the drop is the same
    accuracy = replace(entry, quantity="accuracy")
    one, several = (measure(accuracy, Held(cells=some)) for some in (rows(0, 70), seeds))
    assert several.spread == pytest.approx(0.1) and several.high - several.low > 5 * (one.high - one.low)


def test_of_many_verdicts_with_intervals_some_are_wrong_by_chance():
    rows = [{"low": 0.1, "high": 0.2, "verdict": "agrees"}] * 40
    rows += [{"low": 1.0, "high": 1.0, "verdict": "agrees"}, {"low": math.nan, "high": math.nan, "verdict": "not run"}]
    assert by_chance(pd.DataFrame(rows)) == (40, pytest.approx(2.0))


def test_an_offset_is_undecided_where_its_interval_spans_decades():
    entry = replace(DROP, quantity="offset", value=1e-4, tolerance=0.5)
    assert verdict(entry, (1e-2, 1e-6, 1e-1)) == "undecided"
    assert verdict(entry, (1e-2, 1e-2, 1e-1)) == "differs"
