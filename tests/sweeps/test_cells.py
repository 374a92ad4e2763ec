"""Cells keep single outcomes and confidence; tests may have instances, SNRs and modulations of their own."""

import numpy as np
import pytest

from amc_core import AmcError
from amc_core.scenario import Scenario
from analysis import load
from analysis.query import query
from sweeps.engine.trial import compute
from sweeps.store import Store
from sweeps.store.cells import unpacked
from sweeps.study import load_study

_RANGE = "{from: 0, to: 20, step: 10}"
OWN = f"[{{channel: awgn}}, {{upsampling: 4, instances: 30, snr_db: {_RANGE}, modulations: [GFSK, 16QAM, QPSK]}}]"


def computed(path: str, folder) -> Store:
    study, store = load_study(path), Store(folder)
    for run in study.runs():
        for _ in compute(run, list(study.tests(run)), store):
            pass
    return store


def test_a_test_has_instances_snrs_and_modulations_of_its_own_where_the_study_says_so(study_file):
    study = load_study(study_file(train="{channel: awgn}", test=OWN))
    usual, own = study.tests(study.runs()[0])
    assert (usual.snrs_db, len(usual.indices("test")), usual.modulations) == ((0, 18), 2, ("BPSK", "16QAM", "GFSK"))
    assert (own.snrs_db, len(own.indices("test")), own.modulations) == ((0, 10, 20), 30, ("GFSK", "16QAM", "QPSK"))
    assert not set(own.indices("test")) & {*own.indices("train"), *own.indices("validation")}


def test_a_scale_takes_as_many_more_or_fewer_instances_and_snrs_in_tests_as_in_training(study_file):
    path = study_file(train="{channel: awgn}", test=OWN, scales="{tiny: {instances: 10, snr_stride: 2}}")
    study = load_study(path, "tiny")
    _, own = study.tests(study.runs()[0])
    assert (own.snrs_db, len(own.indices("test"))) == ((0, 20), 15)


def test_single_outcomes_and_counts_agree_and_a_modulation_never_trained_counts_in_no_accuracy(study_file, tmp_path):
    computed(study_file(models="[hoc_svm]", train="{channel: awgn}", test=OWN), tmp_path)
    columns = ["test_upsampling", "test_modulation_set", "snr_db", "n", "correct", "right", "confidence", "test"]
    cells = load("cells", tmp_path, columns=columns)
    own = cells[cells["test_upsampling"] == 4]
    assert own["snr_db"].tolist() == [0, 10, 20] and set(own["n"]) == {60}
    assert set(own["test_modulation_set"]) == {"GFSK, 16QAM, QPSK"}
    for row in cells.itertuples():
        assert unpacked(row.right, row.n).sum() == row.correct
        right, wrong, untrained = np.reshape(row.confidence, (3, 50)).sum(1)
        assert (right, wrong) == (row.correct, row.n - row.correct)
        assert untrained == (30 if row.test_upsampling == 4 else 0)
    counts = load("confusion", tmp_path, filters={"test_upsampling": 4, "sent": "QPSK"})
    assert counts.groupby("snr_db")["count"].sum().tolist() == [30, 30, 30]
    assert set(counts["recognised"]) == {"BPSK", "16QAM", "GFSK"}


def test_sql_answers_as_the_tables_do(study_file, tmp_path):
    computed(study_file(models="[hoc_svm]", train="{channel: awgn}", test=OWN), tmp_path)
    columns = ["test_modulation_set", "test_instances", "snr_db", "sent", "recognised", "count"]
    table = load("confusion", tmp_path, columns=columns).astype({"sent": str, "recognised": str})
    answer = query(f"SELECT {', '.join(columns)} FROM confusion", tmp_path).astype({"sent": str, "recognised": str})
    assert sorted(map(tuple, table.to_numpy())) == sorted(map(tuple, answer.to_numpy()))


def test_cells_of_one_test_dataset_are_of_the_same_instances(study_file, tmp_path):
    computed(study_file(train="{channel: awgn}", test="{upsampling: [4, 8]}"), tmp_path)
    cells = load("cells", tmp_path, columns=["model", "test_upsampling", "test"])
    assert cells.groupby("test_upsampling")["test"].nunique().tolist() == [1, 1]
    assert cells["test"].nunique() == 2


@pytest.mark.parametrize(
    ("grid", "complaint"),
    [
        ("{instances: 0}", "instances 0 is not allowed: it has to be a whole number from 1"),
        ("{instances: many}", "instances 'many' is not allowed"),
        ("{snr_db: []}", "give at least one"),
        ("{snr_db: [3, 300]}", "snr_db 300 is not allowed"),
        ("{modulations: [BPSK, QSPK]}", "'QSPK'"),
    ],
)
def test_what_a_test_cannot_have_of_its_own_is_refused(study_file, grid, complaint):
    with pytest.raises(AmcError, match="test: .*" + complaint.replace("[", r"\[")):
        load_study(study_file(test=grid))


def test_a_training_grid_has_none_of_its_own(study_file):
    with pytest.raises(AmcError, match="'instances' is not known"):
        load_study(study_file(train="{instances: 50}"))


def test_a_test_keeps_its_own_fields_after_transfer(study_file):
    study = load_study(
        study_file(models="[mod_lcnn]", train="{channel: awgn}", test=OWN, transfer="{recipe: {label_fraction: 0.5}}")
    )
    for run in study.runs():
        assert [len(test.indices("test")) for test in study.tests(run)] == [2, 30]
        assert run.dataset.scenario == Scenario()
