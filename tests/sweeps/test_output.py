"""What is printed: that it costs no run where it cannot be written, and that it can be read."""

import io
import json
import subprocess
import sys
from types import SimpleNamespace

import pandas as pd
import pytest
from rich.console import Console

from amc_core import Scenario
from amc_core.errors import AmcError
from amc_core.quantities import many
from analysis import train_test
from analysis.columns import RECIPE
from sweeps.cli import show
from sweeps.cli.show import show_table
from sweeps.cli.tables import show_rows
from sweeps.engine import launch
from sweeps.engine.log import RunLog
from sweeps.engine.progress import Progress
from sweeps.planning import make_plan
from sweeps.store import Store
from sweeps.study import load_study


def in_a_shell(command: str) -> subprocess.CompletedProcess:
    return subprocess.run(["bash", "-c", f"exec {sys.executable} -m sweeps {command}"], capture_output=True, text=True)


def test_a_command_whose_output_is_closed_ends_as_it_would_have(study_file):
    assert in_a_shell("schema >&- 2>&- <&-").returncode == 0
    refused = in_a_shell(f"plan {study_file(models='[cnn1]')} >&-")
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1 and "'cnn1'" in refused.stderr


def test_output_to_a_full_disk_ends_in_one_sentence():
    ended = in_a_shell("schema >/dev/full")
    assert ended.returncode == 2
    assert ended.stderr == "amc: standard output cannot be written: No space left on device\n"


def test_letters_that_a_terminal_lacks_are_replaced(amc, study_file, monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="latin-1"))
    assert amc("plan", study_file(), "--store", "α").returncode == 0
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    assert amc("status", "--store", "α").returncode == 0
    assert b"0 failed in ?" in written.getvalue()


class Unwritable(io.StringIO):
    """A file on a disk that is full."""

    def write(self, text):
        raise OSError(28, "No space left on device")


@pytest.fixture
def planned(study_file, tmp_path):
    """A plan of one run, and its store."""
    study, store = load_study(study_file(models="mod_lcnn", train="{}", test="{}")), Store(tmp_path / "store")
    return make_plan(study, store), store


@pytest.mark.parametrize("terminal", [True, False])
def test_a_display_that_cannot_be_written_costs_no_run(planned, terminal):
    plan, store = planned
    [entry] = plan.runs
    error = ValueError('ray::trial()\n  File "trial.py", line 1\nOSError: no luck\n')
    search = SimpleNamespace(show_life=lambda: 1 / 0)
    feed = SimpleNamespace(failed={}, cut=set(), waiting={}, unfit={}, look_at_nodes=lambda: 1 / 0)
    with Progress(plan, Console(file=Unwritable(), force_terminal=terminal)) as progress:
        callback = launch._report_to(progress, store, search, feed)
        trial = SimpleNamespace(config={"run": entry.run}, last_result={}, get_error=lambda: error)
        callback.on_step_begin(1, [])
        callback.on_trial_result(1, [], trial, {"epoch": 1, "cells": 0, "accuracy": 0.5})
        callback.on_trial_complete(1, [], trial)
        feed.failed[entry.run.key] = "its worker died"
        callback.on_trial_error(1, [], trial)
    assert progress.failures == {entry.run.key: "OSError: no luck"}
    assert store.failures()[entry.run.key]["reason"] == "OSError: no luck"


def test_a_log_that_cannot_be_written_costs_no_run_and_cells_are_told_once(planned, monkeypatch):
    plan, store = planned
    [entry] = plan.runs

    def full(key, text):
        raise AmcError("the store is full")

    with RunLog(entry.run, store) as log:
        for cells in (0, 1, 1, 9, 9):
            log.step({"cells": cells})
        monkeypatch.setattr(log.folder, "save_log", full)
        log.line("more", at_once=True)
    assert [line.split(" ", 1)[1] for line in log.text.splitlines()[1:3]] == ["1 cell evaluated", "9 cells evaluated"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "Traceback (most recent call last):\n  File x\nOSError: [Errno 28] No space left\n",
            "(OSError: [Errno 28] No",
        ),
        ("The actor died unexpectedly.\n\tclass_name: Trial\n", "(The actor died unexpectedly.)"),
        ("", "Exception"),
    ],
)
def test_the_true_reason_of_an_end_is_told(text, told):
    assert told in str(launch._end_of_launch(Exception(text)))


def test_a_refusal_within_the_loop_is_told_as_it_is():
    text = (
        "Traceback (most recent call last):\n  File x\namc_core.errors.AmcError: the storage is gone: bring it back\n"
    )
    assert str(launch._end_of_launch(Exception(text))) == "the storage is gone: bring it back"


# -- tables ------------------------------------------------------------------------------------------------


def test_rows_wider_than_the_terminal_are_shown_as_lists_with_every_value(capsys, monkeypatch):
    monkeypatch.setattr(show.out, "_width", 80)
    rows = pd.DataFrame([{f"column_{k}": f"value_{k}_{row}" for k in range(40)} for row in range(2)])
    show_rows(rows)
    printed = capsys.readouterr().out
    assert all(f"value_{k}_{row}" in printed for k in range(40) for row in range(2)) and "row 2" in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_results_of_a_search_have_a_column_for_every_hyperparameter_in_a_hundred_columns(capsys, monkeypatch):
    monkeypatch.setattr(show.out, "_width", 80)
    usual = {"activation": "leaky_relu", "fully_connected": 128, "kernel": 7, "localizer_constant": [1, 0, 0, 0, 1, 0]}
    scenario = {f"{side}_{name}": value for side in ("train", "test") for name, value in Scenario().columns().items()}
    rows = [
        scenario
        | {"model": "stn_resnext", "hyperparameters": json.dumps(usual | {"blocks": blocks, "transform": transform})}
        | {"learning_rate": rate, "test_upsampling": upsampling, "test_length": 128, "setting": "unseen"}
        | {"snr_db": 0.0, "seed": 0, "n": 10, "correct": 5}
        for blocks, transform, rate in ((2, "time_iq", 1.5e-4), (3, "frequency_time_iq", 2e-4))
        for upsampling in (2.0, 2.5, 3.0, 3.2, 4.0, 5.0, 6.4, 8.0, 10.67, 12.0, 16.0, 20.0, 24.0, 32.0)
    ]
    cells = pd.DataFrame(rows)
    for name in ("code", "classes", "modulation_set", "instances", "length", "dataset_seed", "start", *RECIPE):
        cells[name] = cells[name] if name in cells else 0
    table = train_test(cells)
    assert list(table.index.names) == ["model", "blocks", "transform", "learning_rate"]
    show_table(table)
    printed = capsys.readouterr().out
    assert printed.count("frequency_time_iq") > 1 and printed.count("50.0") == 2 * 14  # in blocks of columns
    assert "leaky" not in printed and "{" not in printed
    assert max(map(len, printed.splitlines())) <= 100


def test_one_is_one():
    assert (many(1, "run"), many(0, "run"), many(1200, "cell")) == ("1 run", "0 runs", "1,200 cells")
    assert (many(0.5, "GPU"), many(1.0, "GPU"), many(2, "has", "have")) == ("0.5 GPUs", "1 GPU", "2 have")
