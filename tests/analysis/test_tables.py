"""Tables and figures of a store that was filled without Ray."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import binomtest

from amc_core import AmcError
from analysis import accuracy_by, load, train_test
from analysis.figures import save, train_test_heat_map
from analysis.tables import TABLES, wilson
from sweeps.plan import make_plan
from sweeps.store import Store
from sweeps.study import load_study
from sweeps.trial import compute


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


def test_wilson_intervals_are_those_of_scipy():
    for correct, n in ((0, 10), (3, 10), (10, 10), (517, 1000)):
        low, high = wilson(np.array(float(correct)), np.array(float(n)))
        expected = binomtest(correct, n).proportion_ci(method="wilson")
        assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-6)


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


def test_the_heat_map_says_what_it_shows(store, tmp_path):
    figure = train_test_heat_map(load("cells", store), "A title")
    paths = save(figure, tmp_path / "deep" / "figure")
    svg = paths[1].read_text()
    assert [path.suffix for path in paths] == [".png", ".svg"]
    for words in ("A title", "HOC-SVM", "accuracy"):
        assert words in svg
    # Each of the two training channels was also tested: AWGN only, Rician being unseen.
    frames = [patch for patch in figure.axes[0].patches if patch.get_edgecolor()[:3] != (0, 0, 0)]
    assert len(frames) == 1
