"""SQL over a store that was filled without Ray."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from amc_core import AmcError
from analysis import load
from analysis.query import query
from sweeps.engine.trial import compute
from sweeps.planning import make_plan
from sweeps.store import Store
from sweeps.study import load_study
from tests.evaluations import evaluation_of


@pytest.fixture
def store(study_file, tmp_path):
    train = "{channel: [awgn, rayleigh], rolloff: [{uniform: [0.1, 0.5]}, 0.35]}"
    study, store = load_study(study_file(models="[hoc_svm]", train=train)), Store(tmp_path / "store")
    for plan in make_plan(study, store).incomplete:
        list(compute(plan.run, study.tests(plan.run), store))
    return store.path


def test_views_have_the_rows_of_the_tables(store):
    for table in ("runs", "epochs", "cells", "confusion"):
        assert query(f"SELECT count(*) AS rows FROM {table}", store)["rows"].tolist() == [len(load(table, store))]


def test_a_train_test_pivot_in_sql_is_that_of_the_data_frame(store):
    sql = """SELECT train_channel, test_upsampling, sum(count) FILTER (sent = recognised) / sum(count) AS accuracy
             FROM confusion WHERE test_channel = 'rician' GROUP BY ALL ORDER BY ALL"""
    cells = load("cells", store, filters={"test_channel": "rician"})
    pooled = cells.groupby(["train_channel", "test_upsampling"])[["correct", "n"]].sum()
    answer = query(sql, store)
    assert answer["accuracy"].to_numpy() == pytest.approx((pooled["correct"] / pooled["n"]).to_numpy())


def test_every_count_has_its_modulations(store):
    by = ["run", "cell", "snr_db", "sent", "recognised"]
    answer = query(f"SELECT {', '.join(by)}, count FROM confusion", store).sort_values(by, ignore_index=True)
    expected = load("confusion", store, columns=[*by, "count"]).astype({"sent": "str", "recognised": "str"})
    assert (answer.to_numpy() == expected.sort_values(by, ignore_index=True).to_numpy()).all()


def test_a_number_that_varies_is_null_and_told_in_words(store):
    answer = query("SELECT train_rolloff, train_varies FROM runs ORDER BY train_rolloff NULLS LAST", store)
    assert answer["train_rolloff"].tolist()[:2] == [0.35, 0.35] and np.isnan(answer["train_rolloff"][3])
    assert answer["train_varies"].tolist() == ["", "", *["rolloff uniform(0.1, 0.5)"] * 2]


def test_a_study_selects_what_is_queried(store, study_file):
    path = study_file("other", models="[hoc_svm]", test="{channel: rician, upsampling: [8, 16]}")
    rows = query("SELECT DISTINCT test_channel, test_upsampling FROM cells", store, path)
    assert rows.to_numpy().tolist() == [["rician", 8.0]]


def test_a_cell_that_two_launches_computed_counts_once(store, study_file):
    before = len(load("cells", store))
    place, study = Store(store), load_study(study_file(models="[hoc_svm]"))
    run = study.runs()[0]
    counts = np.ones((2, 3, 3), np.int64)
    first = study.tests(run)[0]  # its other tests are in other files
    place.run(run.key).save_cells(run, [(first, evaluation_of(counts))], 1.0)
    assert len(load("cells", store)) == before
    assert query("SELECT count(*) AS rows FROM cells", store)["rows"][0] == before
    assert query("SELECT count(*) AS rows FROM confusion", store)["rows"][0] == 9 * before


def test_an_empty_store_can_be_queried(tmp_path):
    for table in ("runs", "epochs", "cells", "confusion"):
        assert query(f"SELECT * FROM {table}", tmp_path / "nothing").empty


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM '/etc/hostname'",
        "COPY (SELECT 1) TO 'written.csv'",
        "ATTACH 'written.db'",
        "SET memory_limit = '1GB'",
        "DROP VIEW cells",
        "SELECT 1; SELECT 2",
        "SELEC model FROM cells",
        "SELECT modle FROM cells",
        "SELECT * FROM store",
        "",
    ],
)
def test_anything_but_a_sound_select_is_refused_in_one_sentence(amc, store, sql, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused = amc("query", sql, "--store", str(store))
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1 and "query" in refused.stderr
    assert not list(tmp_path.glob("written*"))
    with pytest.raises(AmcError):
        query(sql, store)


def test_the_command_prints_rows_or_writes_all_of_them(amc, store, tmp_path):
    sql = "SELECT model, snr_db, sum(n) AS n FROM cells GROUP BY ALL ORDER BY ALL"
    shown = amc("query", sql, "--store", str(store))
    assert shown.returncode == 0 and "hoc_svm" in shown.stdout and "snr_db" in shown.stdout
    csv, parquet = tmp_path / "rows.csv", tmp_path / "rows.parquet"
    files = ["--csv", str(csv), "--parquet", str(parquet)]
    assert amc("query", "SELECT * FROM confusion", "--store", str(store), *files).returncode == 0
    assert len(csv.read_text().splitlines()) - 1 == len(pd.read_parquet(parquet)) == len(load("confusion", store))


def test_hyperparameters_are_json_whose_parts_can_be_asked_for(study_file, tmp_path):
    models = "[{stn_resnext: {blocks: [1, 2]}}]"
    path = study_file(models=models, train="{}", test="{}", recipe="{epochs: 1}", instances="10", snr_db="[10]")
    store = Store(tmp_path / "networks")
    for plan in make_plan(load_study(path), store).incomplete:
        list(compute(plan.run, [], store))
    rows = query("SELECT hyperparameters ->> 'blocks' AS blocks FROM runs ORDER BY blocks", store.path)
    assert rows["blocks"].tolist() == ["1", "2"]


BOUNDED = r"""
import re, sys
from pathlib import Path
from sweeps.__main__ import main
sys.argv = ["amc", *sys.argv[1:]]
try:
    main()
finally:  # VmHWM is of this program alone; ru_maxrss would begin with what the process was before it became that
    print("peak", int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) // 1024, file=sys.stderr)
"""


def test_three_billion_rows_are_counted_and_the_first_of_them_shown_within_a_gibibyte(store):
    sql = "SELECT a.range AS x, b.range * 2.5 AS y FROM range(3000000) a, range(1000) b"
    command = [sys.executable, "-c", BOUNDED, "query", sql, "--store", str(store)]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert shown.returncode == 0, shown.stderr
    assert "2,999,999,800 more rows: --csv FILE or --parquet FILE writes all." in shown.stdout
    assert int(shown.stderr.split()[-1]) < 1024


def test_a_csv_and_a_parquet_file_hold_all_rows_as_one_table_would(store, tmp_path, amc):
    sql = "SELECT range AS x, CASE WHEN range % 7 = 0 THEN NULL ELSE range END AS y, 'a' AS z FROM range(25000)"
    csv, parquet = tmp_path / "rows.csv", tmp_path / "rows.parquet"
    shown = amc("query", sql, "--store", str(store), "--csv", str(csv), "--parquet", str(parquet))
    assert shown.stdout.count("25,000 rows written to") == 2
    lines = csv.read_text().splitlines()
    assert lines[:3] == ["x,y,z", "0,,a", "1,1,a"] and lines[-1] == "24999,24999,a" and len(lines) == 25001
    told, whole = pd.read_parquet(parquet), query(sql, store)
    assert told["x"].tolist() == whole["x"].tolist() and told["z"].tolist() == whole["z"].tolist()
    assert told["y"].astype("float64").equals(whole["y"].astype("float64"))
    empty = amc("query", "SELECT run FROM runs WHERE false", "--store", str(store), "--csv", str(csv))
    assert empty.returncode == 0 and csv.read_text() == "run\n"


def test_a_number_that_no_run_has_can_be_compared_with_numbers(store):
    sql = "SELECT count(*) AS n, avg(train_clipping_level) AS level FROM cells WHERE"
    [row] = query(f"{sql} test_resample_to > 2 OR test_audio = 'x'", store).to_dict("records")
    assert row["n"] == 0 and np.isnan(row["level"])
    assert (
        query("SELECT count(*) AS n FROM runs WHERE train_pulse_span IS NULL AND train_channel <> 'x'", store)["n"][0]
        == 4
    )
