"""Tables and figures of a store that was filled without Ray."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Annotation

from amc_core import AmcError, Scenario
from amc_core.settings import descent_of, setting
from amc_core.statistics import of_training
from analysis import accuracy_by, drop_from_training, load, snr_at, train_test
from analysis.columns import RECIPE, TABLES
from analysis.figures import save, train_test_heat_map
from analysis.query import query
from analysis.report import write
from sweeps.engine.trial import compute
from sweeps.planning import make_plan
from sweeps.store import Store
from sweeps.study import load_study


@pytest.fixture
def store(study_file, tmp_path):
    study, store = load_study(study_file(models="[hoc_svm]", seeds="[0, 1]")), Store(tmp_path / "store")
    for plan in make_plan(study, store).incomplete:
        list(compute(plan.run, study.tests(plan.run), store))
    return store.path


def test_loading_tables_takes_neither_torch_nor_ray(store):
    code = f"import sys, analysis; analysis.load('cells', {str(store)!r}); print({{'torch', 'ray'}} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


def test_every_table_has_the_rows_that_the_study_names(store):
    assert [len(load(table, store)) for table in TABLES] == [4, 4, 4 * 4 * 2, 4 * 4 * 2 * 9]


def test_confusion_counts_add_up_to_the_cells(store):
    cells, confusion = load("cells", store), load("confusion", store)
    by = ["cell", "snr_db"]
    total = confusion.groupby(by)["count"].sum()
    hits = confusion[confusion["sent"] == confusion["recognised"]].groupby(by)["count"].sum()
    indexed = cells.set_index(by)
    assert (indexed["n"] == total.reindex(indexed.index)).all()
    assert (indexed["correct"] == hits.reindex(indexed.index)).all()
    assert (cells["accuracy"] == cells["correct"] / cells["n"]).all()


def test_a_study_selects_its_runs_and_cells_from_a_shared_store(store, study_file):
    path = study_file("other", models="[hoc_svm]", seeds="[1, 2]", test="{channel: rician, upsampling: [8, 16]}")
    assert len(load("runs", store, path)) == 2
    cells = load("cells", store, path)
    assert (
        set(cells["test_channel"]) == {"rician"}
        and set(cells["test_upsampling"]) == {8.0}
        and set(cells["seed"]) == {1}
    )


def test_an_empty_store_gives_empty_tables_with_the_same_columns(store, tmp_path):
    for table in TABLES:
        empty = load(table, tmp_path / "nothing")
        assert empty.empty and list(empty.columns) == list(load(table, store).columns)


def test_an_unknown_table_is_refused_with_the_known_ones():
    with pytest.raises(AmcError, match="did you mean 'cells'"):
        load("cell")


def test_the_same_training_counts_once(store):
    cells = load("cells", store)  # two seeds of HOC-SVM, which draws nothing
    assert cells.groupby("train_channel")["weights"].nunique().tolist() == [1, 1]
    once = accuracy_by(cells[cells["seed"] == 0], ["train_channel", "test_channel"])
    pd.testing.assert_frame_equal(accuracy_by(cells, ["train_channel", "test_channel"]), once)
    assert (once["seeds"] == 1).all() and (once["accuracy_high"] == once["network_high"]).all()


def test_several_seeds_have_the_interval_of_another_training():
    cells = table_of(
        [{"seed": seed, "snr_db": snr, "correct": c + snr} for seed, c in enumerate((60, 70, 66)) for snr in (0, 9)]
    )
    row = accuracy_by(cells, "model").iloc[0]
    expected = of_training(np.array([[60, 69], [70, 79], [66, 75]]), np.array([100, 100]))
    assert (row["accuracy"], row["accuracy_low"], row["accuracy_high"]) == pytest.approx([*expected])
    assert row["network_high"] - row["network_low"] < row["accuracy_high"] - row["accuracy_low"] and row["seeds"] == 3


def test_models_and_seeds_that_were_tested_on_the_same_instances_share_them():
    rows = [{"model": model, "correct": 50} for model in ("cnn1d", "resnet")]
    alone, both = (accuracy_by(table_of(some), "snr_db").iloc[0] for some in (rows[:1], rows))
    assert both["n"] == 2 * alone["n"] and both["accuracy_low"] == pytest.approx(alone["accuracy_low"])


def test_sets_that_share_modulations_share_their_instances_and_others_do_not():
    sets = ("BPSK, QPSK", "BPSK, QPSK, 64QAM", "GFSK")
    alone, shared, apart = (
        accuracy_by(table_of([{"test_modulation_set": name, "correct": 50} for name in some]), "model").iloc[0]
        for some in (sets[:1], sets[:2], sets[::2])
    )
    width, of_shared, of_apart = (row["accuracy_high"] - row["accuracy_low"] for row in (alone, shared, apart))
    assert of_shared == pytest.approx(width) and of_apart < 0.75 * width


def test_a_seed_that_lacks_some_tests_is_taken_to_do_there_as_the_others():
    rows = [{"seed": 0, "snr_db": s, "correct": c} for s, c in ((0, 20), (9, 80))] + [
        {"seed": 1, "snr_db": 0, "correct": 24}
    ]
    row = accuracy_by(table_of(rows), "model").iloc[0]
    assert (
        row["accuracy"] == 124 / 300
        and row["seeds"] == 2
        and row["accuracy_low"] < row["accuracy"] < row["accuracy_high"]
    )


def test_the_train_test_table_pools_counts_over_snrs_and_seeds(store):
    cells = load("cells", store)
    table = train_test(cells, rows=["model", "train_channel", "test_channel"], column="test_upsampling")
    chosen = cells[
        (cells["train_channel"] == "awgn") & (cells["test_channel"] == "rician") & (cells["test_upsampling"] == 4)
    ]
    assert table.loc[("hoc_svm", "awgn", "rician"), 4.0] == chosen["correct"].sum() / chosen["n"].sum()
    assert table.shape == (4, 2)
    pooled = accuracy_by(cells, ["snr_db"])
    assert (pooled["accuracy_low"] <= pooled["accuracy"]).all() and (
        pooled["accuracy"] <= pooled["accuracy_high"]
    ).all()


def headings(axis) -> list[str]:
    """The headings of a heat map's panel, from the left, then downwards."""
    return [" ".join(text.get_text().split()) for text in axis.texts if isinstance(text, Annotation)]


def test_the_heat_map_says_what_it_shows(store, tmp_path):
    figure = train_test_heat_map(load("cells", store), "A title")
    paths = save(figure, tmp_path / "deep" / "figure")
    svg = paths[1].read_text()
    assert [path.suffix for path in paths] == [".png", ".svg"]
    for words in ("A title", "HOC-SVM", "accuracy", "test channel"):
        assert words in svg
    # Each of the two training channels was also tested: AWGN only, Rician being unseen.
    frames = [patch for patch in figure.axes[0].patches if patch.get_edgecolor()[:3] == (0, 0, 0)]
    assert len(frames) == 1


def test_a_model_of_which_a_part_is_there_has_its_numbers_in_the_rows_of_the_others(store):
    cells = load("cells", store)
    cells = pd.concat([cells, cells.assign(model="mod_lcnn", run="other")])
    there = (cells["model"] != "mod_lcnn") | (cells["train_channel"] == "rayleigh")
    figure, whole = train_test_heat_map(cells[there]), train_test_heat_map(cells)
    assert headings(figure.axes[0]) == headings(whole.axes[0])
    numbers = [[text.get_position()[1] for text in shown.axes[1].texts] for shown in (figure, whole)]
    assert set(numbers[1]) == {0, 1, 2, 3} and set(numbers[0]) == {2, 3}  # below the two rows of AWGN
    assert np.array_equal(figure.axes[1].get_ylim(), whole.axes[1].get_ylim())


def test_each_field_has_headings_of_its_own(descended):
    study, store = descended
    figure = train_test_heat_map(load("cells", store, study, filters={"test_upsampling": 8}))
    told = headings(figure.axes[0])
    assert {"train channel", "train L", "test length"} <= set(told)
    assert {"awgn + rician", "8 + 4", "64 samples", "32 samples", "128 samples", "rayleigh"} <= set(told)
    assert any(heading.startswith("from awgn + rician") for heading in told)


def test_training_on_random_lengths_has_rows_of_its_own_beside_training_on_whole_instances():
    cells = table_of([{"correct": 10, "min_length": None}, {"correct": 90, "min_length": 16}])
    for name in ("hyperparameters", "classes", "modulation_set", "instances", "dataset_seed", "start", *RECIPE):
        cells[name] = cells[name] if name in cells else 0
    assert train_test(cells).to_numpy().ravel().tolist() == [0.1, 0.9]
    assert train_test(cells).columns.name == "test_channel"


def table_of(rows: list[dict]) -> pd.DataFrame:
    """A table of cells made by hand: what a row leaves out is the usual scenario, at length 128."""
    usual = {"model": "cnn1d", "seed": 0, "length": 128, "test_length": 128, "snr_db": 0.0, "n": 100}
    usual |= {f"{side}_{name}": value for side in ("train", "test") for name, value in Scenario().columns().items()}
    table = pd.DataFrame([usual | row for row in rows])
    fields = [(f"train_{name}", f"test_{name}") for name in Scenario().columns()] + [("length", "test_length")]
    trained = (table[[own for own, _ in fields]].to_numpy() == table[[test for _, test in fields]].to_numpy()).all(1)
    return table.assign(setting=np.where(trained, "trained", "unseen"))


def test_filters_and_columns_select_what_the_whole_table_holds(store):
    whole = load("cells", store)
    filters = {"seed": 1, "test_channel": ["rician"], "snr_db": 18, "test_upsampling": [4, 32]}
    columns = ["model", "test_upsampling", "accuracy", "train_channel"]
    expected = whole[(whole["seed"] == 1) & (whole["test_channel"] == "rician")]
    expected = expected[(expected["snr_db"] == 18) & (expected["test_upsampling"] == 4)]
    chosen = load("cells", store, columns=columns, filters=filters)
    pd.testing.assert_frame_equal(chosen, expected[columns].reset_index(drop=True))
    assert len(load("cells", store, filters={"patience": None})) == len(whole)
    assert load("cells", store, filters={"patience": 3}).empty


def test_filters_and_columns_of_the_other_tables_do_the_same(store):
    confusion = load("confusion", store)
    expected = confusion[(confusion["sent"] == "GFSK") & (confusion["count"] > 0) & (confusion["seed"] == 0)]
    filters = {"sent": "GFSK", "count": list(range(1, 100)), "seed": 0}
    chosen = load("confusion", store, columns=["recognised", "count"], filters=filters)
    assert (
        chosen.astype({"recognised": "str"}).to_numpy().tolist()
        == expected[["recognised", "count"]].to_numpy().tolist()
    )
    assert load("runs", store, columns=["seed"], filters={"train_channel": "awgn"})["seed"].tolist() == [0, 1]
    assert load("epochs", store, columns=["epoch"], filters={"seed": 1, "epoch": [1, 7]})["epoch"].tolist() == [1, 1]


def test_rows_that_are_not_wanted_are_let_go_before_they_are_joined(store, monkeypatch):
    read = []
    tables = Store.cell_tables
    monkeypatch.setattr(Store, "cell_tables", lambda *a: (read.append(t) or t for t in tables(*a)))
    load("cells", store, columns=["snr_db"], filters={"seed": 1})
    assert sum(table.num_rows for table in read) == 2 * 4 * 2
    assert not {"confusion", "correct", "n"} & set(read[0].column_names)


def test_an_unknown_column_or_filter_is_refused(store):
    with pytest.raises(AmcError, match="no column 'modle'; did you mean 'model'"):
        load("cells", store, columns=["modle"])
    with pytest.raises(AmcError, match="'test_chanel'"):
        load("cells", store, filters={"test_chanel": "awgn"})
    with pytest.raises(AmcError, match="columns name 'snr_db' 2 times: name each once"):
        load("cells", store, columns=["snr_db", "model", "snr_db"])


WRONG = {
    "a number as a text": ({"seed": "1"}, "'seed': '1'", "holds numbers"),
    "a text in a list of numbers": ({"snr_db": [0, "high"]}, "'snr_db': 'high'", "holds numbers"),
    "an operator": ({"snr_db": (">", 3)}, "'snr_db': '>'", "list of values"),
    "a number for a text": ({"model": 3}, "'model': 3", "holds texts"),
    "a number of a scenario as a text": ({"test_upsampling": "8"}, "'test_upsampling': '8'", "holds numbers"),
    "a truth for a number": ({"test_length": True}, "'test_length': True", "holds numbers"),
    "a number for a truth": ({"fresh": 0}, "'fresh': 0", "true and false"),
    "a mapping": ({"model": {"is": "cnn1d"}}, "'model': {'is': 'cnn1d'}", "holds texts"),
    "a list in a list": ({"test_channel": [["awgn"]]}, "'test_channel': ['awgn']", "holds texts"),
    "a time": ({"evaluated_at": "2020"}, "'evaluated_at'", "filter the data frame"),
    "no mapping": (["model"], "filters ['model']", "mapping"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_filter_of_another_type_than_its_column_is_refused_in_one_sentence(tmp_path, case):
    filters, *said = WRONG[case]
    for table in ("cells", "confusion"):
        with pytest.raises(AmcError) as refused:
            load(table, tmp_path, filters=filters)
        assert all(words in str(refused.value) for words in said) and "\n" not in str(refused.value)


def test_columns_are_a_list_of_different_names(tmp_path):
    for columns in ("model", 5, ["model", "model"], [["model"]]):
        with pytest.raises(AmcError, match="column"):
            load("cells", tmp_path, columns=columns)


def test_a_filter_takes_numbers_of_any_kind_and_several_at_once(store):
    whole = load("cells", store)
    for snrs in (18, 18.0, np.float32(18), np.array([18]), range(18, 19), (18,), {18}, [18, None, 7.5, 2**70]):
        assert len(load("cells", store, filters={"snr_db": snrs})) == len(whole) / 2
    assert load("cells", store, filters={"test_length": [128.5, 2**70]}).empty
    assert load("cells", store, filters={"snr_db": []}).empty
    assert len(load("cells", store, filters={"fresh": False, "min_length": None})) == len(whole)


def test_any_two_fields_make_a_pivot():
    cells = table_of(
        [
            {
                "train_upsampling": train,
                "test_sample_rate": rate,
                "seed": seed,
                "correct": 10 * train + rate / 1e5 + seed,
            }
            for train in (2.0, 4.0)
            for rate in (200e3, 600e3)
            for seed in (0, 1)
        ]
    )
    table = train_test(cells, rows=["train_upsampling"], column="test_sample_rate")
    assert table.loc[4.0, 600e3] == (46 + 47) / 200
    turned = train_test(cells, rows=["test_sample_rate"], column="train_upsampling")
    assert (turned.to_numpy() == table.to_numpy().T).all()


def test_a_single_column_needs_no_list():
    cells = table_of([{"model": m, "setting": "trained", "seed": s, "correct": 1} for m in ("a", "b") for s in (0, 1)])
    assert train_test(cells, "model", "seed").equals(train_test(cells, ["model"], "seed"))
    assert drop_from_training(cells, "model").equals(drop_from_training(cells, ["model"]))


def test_labels_of_a_pivot_are_in_the_order_of_their_numbers():
    channels = ["fading 16", "fading 2", "awgn", "fading 1", None, "fading"]
    drawn = ["log_uniform(2, 32)", 10.67, "log_uniform(2, 4)", 8.0]
    cells = table_of([{"train_channel": c, "test_upsampling": u, "correct": 1} for c in channels for u in drawn])
    table = train_test(cells, rows=["train_channel"], column="test_upsampling")
    assert pd.isna(table.index[0])
    assert table.index[1:].tolist() == ["awgn", "fading", "fading 1", "fading 2", "fading 16"]
    assert table.columns.tolist() == [8.0, 10.67, "log_uniform(2, 4)", "log_uniform(2, 32)"]


def test_the_drop_is_taken_from_the_setting_of_training():
    cells = table_of(
        [
            {"test_upsampling": 8.0, "correct": 80},
            {"test_upsampling": 8.0, "correct": 84, "seed": 1},
            {"test_upsampling": 2.0, "correct": 20},
            {"test_upsampling": 2.0, "correct": 22, "seed": 1},
            {"test_upsampling": 8.0, "correct": 50, "test_length": 64},
            {"test_upsampling": 8.0, "correct": 95, "model": "hoc_svm", "train_upsampling": 4.0},
        ]
    )
    drops = drop_from_training(cells, ["model", "test_upsampling", "test_length"])
    drops = drops.set_index(["model", "test_upsampling", "test_length"])
    assert drops.loc[("cnn1d", 2.0, 128), "drop"] == pytest.approx(0.82 - 0.21)
    assert drops.loc[("cnn1d", 8.0, 128), "drop"] == 0
    assert drops.loc[("cnn1d", 8.0, 64), "drop"] == pytest.approx(0.32)
    assert np.isnan(drops.loc[("hoc_svm", 8.0, 128), "drop"])  # whose setting of training was not tested
    inside = drops.dropna()
    assert ((inside["drop_low"] < inside["drop"]) & (inside["drop"] < inside["drop_high"])).all()


def test_the_drop_is_taken_at_the_same_snr_where_snrs_are_told_apart():
    cells = table_of(
        [
            {"test_rolloff": a, "snr_db": s, "correct": c}
            for a, s, c in ((0.35, 0, 40), (0.35, 9, 90), (0.1, 0, 30), (0.1, 9, 85))
        ]
    )
    drops = drop_from_training(cells, ["model", "test_rolloff", "snr_db"])
    assert drops[drops["test_rolloff"] == 0.1]["drop"].tolist() == pytest.approx([0.1, 0.05])


def test_the_snr_at_an_accuracy_is_interpolated():
    cells = table_of(
        [{"snr_db": snr, "correct": correct, "n": 10_000} for snr, correct in ((0, 2000), (10, 6000), (20, 6400))]
    )
    at = {target: snr_at(cells, target, ["model"]).iloc[0] for target in (0.1, 0.5, 0.62, 0.9)}
    assert at[0.5]["snr_db"] == pytest.approx(7.5) and at[0.62]["snr_db"] == pytest.approx(15)
    assert at[0.1]["snr_db"] == 0 and np.isnan(at[0.9]["snr_db"])
    assert at[0.5]["snr_low"] < 7.5 < at[0.5]["snr_high"]
    with pytest.raises(AmcError, match="between 0 and 1"):
        snr_at(cells, 50, ["model"])


def test_transfers_from_parents_that_differ_in_their_recipe_are_told_apart(study_file, tmp_path):
    path = study_file(
        models="[mod_lcnn]",
        train="{}",
        test="{}",
        seeds="[0, 1]",
        recipe="{epochs: [1, 2], batch_size: 16}",
        transfer="{train: {channel: rician}, recipe: {epochs: 1}}",
    )
    study, store = load_study(path), Store(tmp_path / "store")
    for run in study.runs():
        list(compute(run, study.tests(run), store))
    cells = load("cells", store.path, path)
    moved = cells[cells["parent"] != ""]
    assert set(moved["start"]) == {"channel=awgn, epochs=1", "channel=awgn, epochs=2"}
    assert accuracy_by(moved, "start")["n"].tolist() == [2 * 2 * 3 * 2] * 2  # seeds × SNRs × modulations × instances


def test_a_column_that_is_not_there_is_refused():
    cells = pd.DataFrame({"model": ["a"], "n": [1], "correct": [1], "accuracy": [1.0]})
    for by in ("modle", ["model", "model"], [], ["n"]):
        with pytest.raises(AmcError, match="column"):
            accuracy_by(cells, by)


def test_a_table_names_what_varies_where_its_column_is_not_there(store):
    with pytest.raises(
        AmcError, match=r"^column 'modl' is not known; did you mean 'model'\? \(columns that vary"
    ) as told:
        train_test(load("cells", store), ["modl"])
    assert len(str(told.value)) < 300 and "test_channel" in str(told.value)


@pytest.fixture
def descended(study_file, tmp_path):
    """Trained on a mixture and random lengths, retrained in two steps, tested everywhere at three lengths."""
    path = study_file(
        models="[mod_lcnn]",
        recipe="{epochs: 1, batch_size: 16, min_length: 64}",
        train="{mixture: [{channel: awgn}, {channel: rician, upsampling: 4}]}",
        test="{channel: [awgn, rayleigh, rician, rayleigh_2], upsampling: [4, 8]}",
        test_length="[32, 64, 128]",
        transfer="[{train: {channel: rayleigh, upsampling: 8}, recipe: {min_length: null}}, "
        "{train: {channel: rayleigh_2}, recipe: {min_length: null}}]",
    )
    study, store = load_study(path), Store(tmp_path / "descended")
    for run in study.runs():
        list(compute(run, study.tests(run), store))
    return study, store.path


def test_a_setting_is_trained_seen_or_unseen_whatever_the_run_descends_from(descended):
    study, store = descended
    cells = load("cells", store, study).drop_duplicates("cell")
    by_run = cells.groupby("train_channel")
    place = ["test_channel", "test_upsampling", "test_length"]

    def those(train: str, setting: str) -> set[tuple]:
        own = by_run.get_group(train)
        return set(own.loc[own["setting"] == setting, place].itertuples(index=False, name=None))

    lengths, parts = (32, 64, 128), [("awgn", 8.0), ("rician", 4.0)]
    assert those("awgn + rician", "trained") == {(*part, length) for part in parts for length in (64, 128)}
    assert those("awgn + rician", "seen") == {(*part, 32) for part in parts}
    assert those("rayleigh", "trained") == {("rayleigh", 8.0, 128)}
    assert those("rayleigh", "seen") == {(*part, length) for part in parts for length in lengths} | {
        ("rayleigh", 8.0, length) for length in (32, 64)
    }
    assert those("rayleigh_2", "seen") >= {(*part, 128) for part in [*parts, ("rayleigh", 8.0)]}
    unseen = {run.cell_key(test) for run in study.runs() for test in study.unseen_tests(run)}
    assert unseen == set(cells["cell"][cells["setting"] == "unseen"])


def test_settings_are_the_same_in_sql_in_filters_and_of_a_run_itself(descended):
    study, store = descended
    cells = load("cells", store, study)
    expected = cells.set_index(["cell", "snr_db"])["setting"]
    answer = query("SELECT cell, snr_db, setting FROM cells", store).set_index(["cell", "snr_db"])["setting"]
    assert (answer.reindex(expected.index) == expected).all() and len(answer) == len(expected)
    kept = load("cells", store, columns=["cell"], filters={"setting": ["seen", "trained"]})
    assert set(kept["cell"]) == set(cells["cell"][cells["setting"] != "unseen"])
    for run in study.runs():
        for test in study.tests(run):
            assert setting(test.scenario, test.length, descent_of(run)) == expected[run.cell_key(test)].iloc[0]


def test_the_drop_after_training_on_a_mixture_is_from_all_its_parts(descended):
    study, store = descended
    cells = load("cells", store, study, filters={"parent": "", "test_length": 128})
    own = cells[cells["setting"] == "trained"]
    drops = drop_from_training(cells, ["train_channel", "test_channel"])
    assert drops["training_accuracy"].tolist() == [own["correct"].sum() / own["n"].sum()] * 4
    with pytest.raises(AmcError, match="'setting'"):
        drop_from_training(cells.drop(columns="setting"))


def test_a_covered_setting_is_told_in_tables_filters_and_sql(study_file, tmp_path):
    path = study_file(models="[hoc_svm]", train="{rolloff: {uniform: [0.1, 0.5]}}", test="{rolloff: [0.2, 0.35, 0.6]}")
    study, store = load_study(path), Store(tmp_path / "store")
    for run in study.runs():
        list(compute(run, study.tests(run), store))
    cells = load("cells", store.path, path).drop_duplicates("cell").set_index("test_rolloff")["setting"]
    assert cells.to_dict() == {0.2: "covered", 0.35: "covered", 0.6: "unseen"}
    assert set(load("cells", store.path, filters={"setting": "covered"})["test_rolloff"]) == {0.2, 0.35}
    answer = query("SELECT DISTINCT test_rolloff FROM cells WHERE setting = 'covered' ORDER BY ALL", store.path)
    assert answer["test_rolloff"].tolist() == [0.2, 0.35]


def test_runs_have_the_stage_that_their_study_names_and_without_one_their_ancestors(descended):
    study, store = descended
    runs = load("runs", store, study).set_index("train_channel")
    assert runs.loc["awgn + rician", "stage"] == "training" and runs.loc["rayleigh", "stage"] == "transfer-1"
    assert set(runs.loc["rayleigh_2", "stage"]) == {"transfer-2"} and set(runs.loc["rayleigh_2", "ancestors"]) == {1, 2}
    assert sorted(load("runs", store)["stage"]) == ["0", "1", "1", "2"]
    told = query("SELECT stage, count(*) AS runs FROM runs GROUP BY ALL ORDER BY ALL", store, study)
    assert told.to_numpy().tolist() == [["training", 1], ["transfer-1", 1], ["transfer-2", 2]]


@pytest.mark.filterwarnings("error::RuntimeWarning", "error::FutureWarning")
@pytest.mark.parametrize("known", ["", ", {channel: rician, modulations: [BPSK], snr_db: [5]}"])
def test_a_test_of_modulations_never_trained_alone_has_no_accuracy_and_spoils_no_other(known, study_file, tmp_path):
    path = study_file(models="[hoc_svm]", train="{channel: awgn}", test=f"[{{modulations: [8PSK]}}{known}]")
    study, store = load_study(path), Store(tmp_path / "store")
    for run in study.runs():
        list(compute(run, study.tests(run), store))
    cells = load("cells", store.path, path)
    counted = cells[cells["n"] > 0]
    assert cells["accuracy"].isna().sum() == 2 and len(counted) == (1 if known else 0)
    means = accuracy_by(cells, "test_channel").set_index("test_channel")
    assert means.loc["awgn", ["n", "seeds"]].tolist() == [0, 0]
    assert means.loc["awgn", ["accuracy", "accuracy_low", "accuracy_high"]].isna().all()
    columns = ["n", "accuracy", "accuracy_low", "network_low"]
    if known:
        assert accuracy_by(cells, "model")[columns].equals(accuracy_by(counted, "model")[columns])
    else:
        assert np.isnan(train_test(cells).to_numpy()).all()
    assert snr_at(cells, 0.001, "test_channel").set_index("test_channel")["snr_db"].isna()["awgn"]
    assert write(tmp_path / "report.html", store, [(path, study)]).is_file()
    save(train_test_heat_map(cells), tmp_path / "heat-map")
