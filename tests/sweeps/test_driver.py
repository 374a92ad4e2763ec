"""Studies from Python: `plan`, `run` and what they come to, from any thread, and from what a study may be given as."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from rich.console import Console

import sweeps
from amc_core import AmcError
from analysis import load
from benchmarks.faults import TIMES
from sweeps.engine.progress import Progress
from sweeps.engine.trial import compute
from sweeps.planning import make_plan
from sweeps.store import Store
from sweeps.study import load_studies, load_study
from tests.sweeps.test_cli import replace_weights

STUDY = {
    "modulations": ["BPSK", "16QAM", "GFSK"],
    "snr_db": [0, 18],
    "instances": 20,
    "length": 128,
    "models": ["hoc_svm", "mod_lcnn"],
    "recipe": {"epochs": 3, "batch_size": 16},
    "train": {"channel": "awgn"},
    "test": {"upsampling": [4, 8]},
    "transfer": {"train": {"channel": "rician"}, "name": "indoors"},
}
QUIET = Console(quiet=True)


def without_times(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns=[name for name in TIMES if name in table])


def test_a_study_gives_the_same_tables_and_keys_by_python_and_by_the_command_line(amc, tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(STUDY))
    outcomes = []
    # Not the main thread, which alone may handle signals.
    thread = threading.Thread(target=lambda: outcomes.append(sweeps.run(STUDY, tmp_path / "a", console=QUIET)))
    thread.start()
    thread.join()
    shown = amc("run", str(path), "--store", str(tmp_path / "b"))
    assert shown.returncode == 0 and "small is complete: 3 runs, 6 cells" in shown.stdout
    [outcome] = outcomes
    assert outcome.complete and not outcome.failures
    assert outcome.counts == {"runs": 3, "trained": 3, "cells": 6, "evaluated": 6, "failures": 0}
    assert set(outcome.runs["run"]) == {run.key for run in load_study(str(path)).runs()}
    for name in ("runs", "epochs", "cells", "confusion"):
        by_command = load(name, tmp_path / "b", str(path))
        assert len(by_command) > 0
        pd.testing.assert_frame_equal(without_times(getattr(outcome, name)), without_times(by_command))
    assert outcome.figure().axes
    again = sweeps.run(yaml.safe_dump(STUDY), tmp_path / "b", console=QUIET)
    assert again.complete and again.counts == outcome.counts


def test_an_interrupted_run_is_called_again_in_the_same_process_and_handlers_are_the_callers(tmp_path):
    code = """if True:
        import os, signal, sys, threading, time
        from pathlib import Path
        import yaml
        import sweeps

        study, store = yaml.safe_load(sys.argv[1]), Path(sys.argv[2])

        def interrupt():
            while not list(store.glob("runs/*/checkpoint-*")):
                time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=interrupt).start()
        before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)], dict(os.environ)
        long = study | {"models": "mod_lcnn", "recipe": {"epochs": 2000, "batch_size": 16}}
        try:
            sweeps.run(long, store)
        except KeyboardInterrupt:
            print("interrupted")
        assert before == ([signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)], dict(os.environ))
        print(sweeps.run(study, store))
    """
    study = yaml.safe_dump({name: STUDY[name] for name in STUDY if name != "transfer"})
    command = [sys.executable, "-c", code, study, str(tmp_path / "store")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    assert "interrupted\n" in ended.stdout and "runs 2/2 · cells 4/4" in ended.stdout
    assert ended.stdout.endswith("<Outcome: study, complete, runs 2, trained 2, cells 4, evaluated 4, failures 0>\n")
    assert "Traceback" not in ended.stderr


def test_an_outcome_says_what_failed_and_why(tmp_path, monkeypatch):
    def end(study, plan, store, progress, *rest):
        by_model = {entry.run.model: entry.run for entry in plan.runs if not entry.run.parent}
        progress.fail(by_model["mod_lcnn"].key, "first line\nthe loss is nan")

    monkeypatch.setattr("sweeps.engine.launch.launch", end)
    seen = []
    outcome = sweeps.run(STUDY, tmp_path, console=QUIET, planned=lambda study, plan: seen.append(len(plan.runs)))
    assert seen == [3] and not outcome.complete and outcome.counts["trained"] == 0
    [svm, network, moved] = outcome.study.runs()
    assert outcome.failures == {
        svm.key: "not finished",
        network.key: "the loss is nan",
        moved.key: f"not begun, since it starts from run {network.key}",
    }
    assert "not complete" in repr(outcome) and outcome.runs.empty and outcome.cells.empty
    assert outcome.study.stage_of(moved) == "indoors"


def test_an_outcome_tells_runs_whose_parent_got_other_weights_while_they_trained(tmp_path, monkeypatch):
    study = STUDY | {
        "models": "mod_lcnn",
        "transfer": [{"train": {"channel": name}} for name in ("rician", "rayleigh")],
    }

    def train(study, plan, store, progress, *rest):
        parent, *descendants = study.runs()
        list(compute(parent, [], store))
        for run in descendants:
            list(compute(run, study.tests(run), store))
        replace_weights(store, parent, {name: 2 * part for name, part in store.run(parent.key).weights().items()})

    monkeypatch.setattr("sweeps.engine.launch.launch", train)
    outcome = sweeps.run(study, tmp_path, console=QUIET)
    parent, *descendants = outcome.study.runs()
    assert outcome.failures == {parent.key: "not finished"} | {
        run.key: f"outdated, since run {run.parent.key}, from which it started, "
        + ("has other weights now" if run.parent == parent else "is outdated")
        for run in descendants
    }
    assert {run.parent == parent for run in descendants} == {True, False}


def test_a_study_is_given_as_a_path_a_name_a_text_a_dictionary_or_several_of_them(tmp_path, monkeypatch):
    path = tmp_path / "small.yaml"
    path.write_text(text := yaml.safe_dump(STUDY))
    in_python = STUDY | {
        "modulations": tuple(STUDY["modulations"]),
        "snr_db": np.array([0, 18]),
        "instances": np.int64(20),
        "seeds": range(1),
    }
    sources = [path, str(path), text, "models: [hoc_svm]\n", STUDY, in_python, load_study(str(path))]
    studies = [load_study(source) for source in sources]
    keys = [[run.key for run in study.runs()] for study in studies]
    assert [study.name for study in studies] == ["small", "small", *["study"] * 4, "small"]
    assert all(each == keys[0] for place, each in enumerate(keys) if place != 3)
    both = load_studies([STUDY, "quickstart", "quick*"])
    assert [part.name for part in both.parts] == ["study", "quickstart"]
    with pytest.raises(AmcError, match="quickstart"):
        sweeps.plan([STUDY, "quickstar"], tmp_path)
    plan = sweeps.plan(STUDY, str(tmp_path / "store"))
    assert repr(plan) == "<Plan: 3 of 3 runs and 6 of 6 cells are missing>" and not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"models": "cnn1"}, "the study: models: model 'cnn1' is not known; did you mean 'cnn1d'?"),
        ("models: cnn1", "the study: models: model 'cnn1' is not known"),
        ("models: [", "the study: not a YAML file"),
        ({"models": "cnn1d", "seed": 3}, "the study: key 'seed' is not known"),
        (3, "3 is not a study: give a path"),
        ([], "no study is named"),
        ("quickstar", "did you mean 'quickstart'"),
        ({"models": "hoc_svm", "train": {"recording": "nowhere.h5"}}, "nowhere.h5"),
    ],
)
def test_a_bad_source_is_refused_in_one_sentence_and_nothing_is_written(source, said, tmp_path):
    with pytest.raises(AmcError) as refused:
        sweeps.run(source, tmp_path / "store")
    assert said in str(refused.value) and "\n" not in str(refused.value)
    assert not (tmp_path / "store").exists()


def test_a_ray_that_the_process_has_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("ray.is_initialized", lambda: True)
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(AmcError, match="Ray is connected in this process already"):
        sweeps.run(STUDY, tmp_path, console=QUIET)
    assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


def test_a_notebook_has_one_output_that_is_changed_in_place(tmp_path, monkeypatch):
    shown = []

    class Output:
        def update(self, data, raw):
            shown.append(data["text/plain"])

    def display(data, raw, display_id):
        shown.append(data["text/plain"])
        return Output()

    monkeypatch.setattr("IPython.display.display", display)
    with (tmp_path / "printed").open("w") as file:
        console = Console(file=file, force_jupyter=True)
        plan = make_plan(load_study(STUDY), Store(tmp_path))
        with Progress(plan, console) as progress:
            for entry in plan.runs:
                progress.advance(entry.run.key, 1, 0, 0.5)
                progress.finish(entry.run.key)
    assert "runs 0/3 · cells 0/6" in shown[0] and "runs 3/3 · cells 6/6" in shown[-1]
    assert len(shown) <= 4 and Path(tmp_path / "printed").read_text() == ""


def test_only_what_the_package_offers_is_found_in_it():
    assert set(sweeps.__all__) == {"Outcome", "plan", "run"} and callable(sweeps.run)
    with pytest.raises(AttributeError, match="no attribute 'launch'"):
        sweeps.launch  # noqa: B018
