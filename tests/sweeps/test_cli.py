"""The command line as a user meets it."""

import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pandas as pd
import pytest

from amc_core.errors import AmcError
from amc_core.run import Run
from analysis import load
from benchmarks.faults import files
from sweeps.cli import app
from sweeps.cli.app import SCALE_NAMES
from sweeps.cli.show import show_table, words
from sweeps.engine.trial import compute
from sweeps.planning import make_plan
from sweeps.store import Store
from sweeps.study import SCALES, load_study


@pytest.fixture
def filled(study_file, tmp_path):
    """A study whose HOC-SVM runs are complete and whose networks are not, and its store."""
    path, store = study_file(), Store(tmp_path / "store")
    study = load_study(path)
    for plan in make_plan(study, store).incomplete:
        if plan.run.model == "hoc_svm":
            list(compute(plan.run, study.tests(plan.run), store))
    return path, str(store.path)


@pytest.mark.parametrize("command", ["plan", "run", "status", "results", "figures"])
def test_help_explains_each_command_with_an_example(amc, command):
    shown = amc(command, "--help")
    assert shown.returncode == 0
    assert f"Example: amc {command} quickstart" in shown.stdout


@pytest.mark.parametrize("command", ["", "run", "runs", "runs list", "store gc"])
def test_help_fills_a_terminal_of_80_columns_and_shows_no_type_of_flags(amc, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    shown = amc(*command.split(), "--help").stdout
    assert "--help" in shown and "<bool>" not in shown and "..." not in shown.replace("}...", "").replace("]...", "")
    for line, following in itertools.pairwise(shown.split("╭")[0].splitlines()):
        if line.strip() and following.strip():
            assert len(line.rstrip()) + 1 + len(following.split()[0]) > 78, line


@pytest.mark.parametrize("command", ["plan", "run", "status", "results", "figures"])
def test_a_bad_study_ends_in_one_sentence_and_code_2_and_writes_nothing(amc, command, study_file, tmp_path):
    path = study_file(models="[cnn1]")
    refused = amc(command, path, "--store", str(tmp_path / "store"))
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1 and path in refused.stderr and "'cnn1'" in refused.stderr
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("place", ["/proc/nowhere", __file__])
def test_a_store_that_cannot_be_written_is_refused(amc, place, study_file):
    refused = amc("run", study_file(), "--store", place)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1 and place in refused.stderr and "--store" in refused.stderr


def closed_port() -> str:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{unused.getsockname()[1]}"


NO_ADDRESSES = (
    pytest.param(closed_port(), id="closed"),
    "nowhere.invalid:6379",
    "somewhere",
    "",
    "x" * 300 + ":80",
    "127.0.0.1:http",
    "ray://a:1",
)


@pytest.mark.parametrize("address", NO_ADDRESSES)
def test_an_unreachable_address_is_refused_and_nothing_is_written(amc, address, study_file, tmp_path):
    refused = amc("run", study_file(), "--store", str(tmp_path / "store"), "--address", address)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1 and address[:60] in refused.stderr and "host:port" in refused.stderr
    assert not (tmp_path / "store").exists()


def test_more_gpus_than_there_are_is_refused_instead_of_waiting_for_ever(amc, study_file, tmp_path):
    refused = amc("run", study_file(), "--store", str(tmp_path / "store"), "--gpus-per-trial", "1000")
    assert refused.returncode == 2
    assert "1,000 GPUs" in refused.stderr and "--gpus-per-trial" in refused.stderr
    assert not (tmp_path / "store").exists()


def test_plan_counts_what_is_there_and_what_is_missing(amc, filled):
    path, store = filled
    shown = amc("plan", path, "--store", store)
    assert [int(word) for word in shown.stdout.split() if word.isdigit()][:6] == [4, 2, 2, 16, 8, 8]


def test_plan_notes_an_augmentation_that_changes_a_class(amc, study_file, tmp_path):
    path = study_file(models="[gru2]", modulations="[BPSK, SSB-AM]", recipe="{epochs: 1, augment_flip: [false, true]}")
    shown = " ".join(amc("plan", path, "--store", str(tmp_path / "store")).stdout.split())
    assert shown.count("Note:") == 1 and "augment_flip" in shown and "changes the sideband of SSB-AM" in shown


def test_plan_of_several_studies_tells_what_they_share(amc, filled, study_file):
    path, store = filled
    other = study_file("other", models="[mod_lcnn, cnn1d]", test="{channel: rayleigh_2}")
    shown = amc("plan", path, other, "--store", store)
    lines = {line.split()[0]: line.split()[1:] for line in shown.stdout.splitlines() if line.split()}
    assert lines[Path(path).stem] == ["4", "2", "16"] and lines["other"] == ["4", "2", "4"]
    together = shown.stdout.partition("2 studies, scale")[2]
    assert [int(word) for word in together.split() if word.isdigit()][:6] == [6, 2, 4, 20, 8, 12]


def test_results_prints_the_table_and_writes_the_cells(amc, filled, tmp_path):
    path, store = filled
    csv, parquet = tmp_path / "cells.csv", tmp_path / "cells.parquet"
    shown = amc("results", path, "--store", store, "--csv", str(csv), "--parquet", str(parquet))
    assert shown.returncode == 0 and "hoc_svm" in shown.stdout
    assert len(pd.read_csv(csv)) == len(pd.read_parquet(parquet)) == 2 * 4 * 2
    refused = amc("results", path, "--store", store, "--csv", str(tmp_path / "no" / "cells.csv"))
    assert refused.returncode == 2 and "cannot be written" in refused.stderr


def test_a_table_wider_than_the_terminal_is_printed_whole(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    columns = pd.Index(range(100, 140), name="test_upsampling")
    rows = pd.MultiIndex.from_tuples([("cnn1d", "rayleigh_2")], names=["model", "train_channel"])
    show_table(pd.DataFrame([[value / 1000 for value in columns]], rows, columns))
    printed = capsys.readouterr().out.split()
    assert {f"{value / 10:.1f}" for value in columns} <= set(printed) and "…" not in "".join(printed)


def test_a_class_of_scikit_learn_is_shown_by_its_name(capsys):
    entries = [("hoc", "sklearn.ensemble.RandomForestClassifier")]
    rows = pd.MultiIndex.from_tuples(entries, names=["model", "classifier"])
    show_table(pd.DataFrame([[0.5]], rows, pd.Index(["awgn"], name="test_channel")))
    assert " RandomForestClassifier " in capsys.readouterr().out


def test_long_headings_of_rows_are_folded_until_a_table_fits_100_columns(capsys):
    names = ["model", "train_channel", "train_upsampling", "retrain", "label_fraction", "start", "test_channel"]
    mixed = ("awgn + rayleigh + rician (15 parts)", "2 + 4 + 8 + 16 + 32 (15 parts)", "head", 0.25)
    start = "channel=awgn + rayleigh + rician, upsampling=8.0"
    rows = pd.MultiIndex.from_tuples([("stn_resnext", *mixed, start, "rayleigh")], names=names)
    show_table(pd.DataFrame([[0.5] * 8], rows, pd.Index([2, 3.2, 4, 6.4, 8, 10.67, 16, 32], name="test_upsampling")))
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 100
    assert "stn_resnext" in printed and "…" not in printed and printed.count("50.0") == 8


def test_no_word_is_broken_where_all_columns_fit_beside_longer_headings(capsys):
    names = ["model", "train_channel", "retrain", "label_fraction", "start"]
    entries = [("stn_resnext", "awgn + rayleigh + rician", "stn_block", 0.15, "channel=rayleigh")]
    columns = pd.Index(["awgn", "rayleigh", "rician"], name="test_channel")
    show_table(pd.DataFrame([[0.5] * 3], pd.MultiIndex.from_tuples(entries, names=names), columns))
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 100
    assert "channel=rayleigh" in printed and printed.count("model") == 1


def test_figures_are_written_as_png_and_svg(amc, filled, tmp_path):
    path, store = filled
    shown = amc("figures", path, "--store", store, "--to", str(tmp_path / "figures"))
    assert shown.returncode == 0
    name = Path(path).stem
    assert (tmp_path / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "figures" / f"{name}.svg").read_text()
    kinds = {file.stem.removeprefix(f"{name}-") for file in (tmp_path / "figures").glob(f"{name}-*.png")}
    assert kinds == {"confusion-trained", "confusion-unseen", "snr"}  # one model, which is fitted in one step


WRONG_FIGURES = {
    "an unknown format": (["--format", "pdf,gif"], "format 'gif' is not known"),
    "a width without a unit": (["--width", "3.5"], "--width '3.5' is not allowed"),
    "a width that is too large": (["--width", "3m"], "--width '3m' is not allowed"),
    "SNRs the wrong way round": (["--snr", "10..0"], "--snr '10..0' is not allowed"),
    "an SNR that was not tested": (["--snr", "3..5"], "tested SNRs are 0, 18 dB"),
}


@pytest.mark.parametrize("case", WRONG_FIGURES)
def test_a_wish_for_figures_that_cannot_be_met_is_refused_in_one_sentence(amc, filled, tmp_path, case):
    path, store = filled
    asked, said = WRONG_FIGURES[case]
    refused = amc("figures", path, "--store", store, "--to", str(tmp_path / "figures"), *asked)
    assert refused.returncode == 2 and said in refused.stderr and "Traceback" not in refused.stderr
    assert not (tmp_path / "figures").exists()


@pytest.mark.parametrize("command", ["results", "figures"])
def test_a_table_and_figures_of_a_study_that_is_not_complete_say_how_much_is_missing(amc, filled, tmp_path, command):
    path, store = filled
    to = ("--to", str(tmp_path / "figures")) if command == "figures" else ()
    plan = make_plan(load_study(path), Store(store))
    shown = amc(command, path, "--store", store, *to)
    assert shown.returncode == 0 and f"{plan.missing_cells} of {plan.cells} cells are missing" in shown.stderr
    for entry in plan.incomplete:
        list(compute(entry.run, load_study(path).tests(entry.run), Store(store)))
    assert "missing" not in amc(command, path, "--store", store, *to).stderr


def test_results_have_the_rows_columns_and_snrs_that_are_asked_for(amc, filled):
    path, store = filled
    asked = ["--rows", "test_channel", "--columns", "train_channel", "--snr", "18"]
    shown = amc("results", path, "--store", store, *asked)
    cells = load("cells", store, path, filters={"snr_db": 18})
    lines = {line.split()[0]: line.split()[1:] for line in shown.stdout.splitlines() if line.split()}
    for channel, own in cells.groupby("test_channel"):
        pooled = own.groupby("train_channel")[["correct", "n"]].sum()
        accuracies = [f"{100 * c / n:.1f}" for c, n in pooled.to_numpy()]
        assert [number.rstrip("*°") for number in lines[channel]] == accuracies
    assert "SNR 18 dB" in shown.stdout and lines["awgn"][0].endswith("°") and not lines["awgn"][1].endswith("°")
    refused = amc("results", path, "--store", store, "--rows", "test_chanel")
    assert refused.returncode == 2 and "did you mean 'test_channel'" in refused.stderr
    refused = amc("results", path, "--store", store, "--rows", "model", "--columns", "model")
    assert refused.returncode == 2 and "in both rows and columns" in refused.stderr


def test_a_figure_needs_no_more_than_one_varied_field(amc, study_file, tmp_path):
    path, store = study_file("one.v2", models="hoc_svm", train="{}", test="{upsampling: [4, 8]}"), Store(tmp_path / "s")
    study = load_study(path)
    list(compute(study.runs()[0], study.tests(study.runs()[0]), store))
    assert amc("figures", path, "--store", str(store.path), "--to", str(tmp_path)).returncode == 0
    assert (tmp_path / "one.v2.png").exists() and (tmp_path / "one.v2.svg").exists()
    assert amc("results", path, "--store", str(store.path)).returncode == 0


def test_numbers_and_distributions_share_a_column(amc, study_file, tmp_path):
    test = "{upsampling: [4, {uniform: [2, 3]}], channel: [awgn, {path_delays: [0], path_gains_db: [0]}]}"
    path, store = study_file(models="hoc_svm", train="{}", test=test), Store(tmp_path / "store")
    study = load_study(path)
    list(compute(study.runs()[0], study.tests(study.runs()[0]), store))
    shown = amc("results", path, "--store", str(store.path), "--parquet", str(tmp_path / "cells.parquet"))
    assert shown.returncode == 0 and "uniform(2, 3)" in shown.stdout
    assert set(pd.read_parquet(tmp_path / "cells.parquet")["test_upsampling"]) == {"4.0", "uniform(2, 3)"}
    assert amc("figures", path, "--store", str(store.path), "--to", str(tmp_path)).returncode == 0


@pytest.mark.parametrize("name", ["run.json", "cells"])
def test_a_damaged_file_is_named_with_what_to_do_and_the_others_are_shown(amc, filled, name, caplog):
    path, store = filled
    victim = next(Path(store).glob(f"runs/*/{name}*"))
    victim.write_bytes(victim.read_bytes()[:-20])
    shown = amc("results", path, "--store", store)
    assert shown.returncode == 0 and "hoc svm" in shown.stdout.replace("_", " ")
    [told] = [record.getMessage() for record in caplog.records if record.name == "sweeps"]
    assert str(victim) in told and "'amc run'" in told


@pytest.mark.parametrize("bytes_kept", [-20, 6, 0])
def test_plan_and_status_count_what_is_damaged_as_missing_and_write_nothing(amc, filled, bytes_kept):
    path, store = filled
    victim = next(Path(store).glob("runs/*/cells*"))
    victim.write_bytes(victim.read_bytes()[:bytes_kept])
    before = files(Path(store))
    for command in ("plan", "status"):
        shown = amc(command, path, "--store", store)
        assert shown.returncode == 0, shown.stderr
        assert [int(word) for word in shown.stdout.split() if word.isdigit()][:6] == [4, 2, 2, 16, 4, 12]
        assert "Damaged cells files: 1. Their cells count as missing; 'amc run' computes them again." in shown.stdout
    several = amc("status", path, "p1-fig05", "--store", store)
    assert "2 studies" in several.stdout and "2 runs trained" in several.stdout
    assert files(Path(store)) == before


def test_run_sets_damaged_files_aside_and_says_which(amc, study_file, tmp_path):
    study, store = load_study(path := study_file(models="hoc_svm", train="{}")), Store(tmp_path / "store")
    [run] = study.runs()
    list(compute(run, study.tests(run), store))
    damaged = tmp_path / "store" / "runs" / run.key / f"cells-{'0' * 32}.parquet"
    damaged.write_bytes(b"not what the name says")
    shown = amc("run", path, "--store", str(store.path))
    assert shown.returncode == 0 and "Nothing is missing" in shown.stdout
    assert shown.stderr == f"damaged or outdated, set aside in {store.path}/damaged: runs/{run.key}/{damaged.name}\n"
    [kept] = (tmp_path / "store" / "damaged" / run.key).iterdir()
    assert kept.read_bytes() == b"not what the name says" and not damaged.exists()


@pytest.mark.parametrize("other_weights", [True, False])
def test_a_run_is_computed_again_when_the_one_it_started_from_has_other_weights(
    amc, study_file, tmp_path, other_weights
):
    path = study_file(models="mod_lcnn", train="{}", test="{}", transfer="{train: {channel: rician}}")
    study, store = load_study(path), Store(tmp_path / "store")
    for run in study.runs():
        list(compute(run, study.tests(run), store))
    parent, child = study.runs()
    weights = store.run(parent.key).weights()
    if other_weights:
        weights = {name: 1.01 * tensor for name, tensor in weights.items()}
    replace_weights(store, parent, weights)
    shown = amc("run", path, "--store", str(store.path))
    assert shown.returncode == 0, shown.stderr
    assert (f"damaged or outdated, set aside in {store.path}/damaged: runs/{child.key}/run.json" in shown.stderr) == (
        other_weights
    )
    assert store.run(child.key).record().parent_weights == store.run(parent.key).weights_name()
    assert len(load("cells", store.path, path)) == 2 * 2


def replace_weights(store: Store, run: Run, weights: dict) -> None:
    """Record the run as trained once more, with these weights."""
    folder = store.run(run.key)
    known = {"parent_weights": folder.record().parent_weights, "kept_epoch": 1, "parameters": 1}
    folder.save(run, {"epochs": folder.epochs().to_pylist(), "kept": weights}, [], **known)


def test_a_checkpoint_from_other_weights_of_the_parent_is_not_gone_on_from(study_file, tmp_path):
    study = load_study(study_file(models="mod_lcnn", train="{}", transfer="{train: {channel: rician}}"))
    store, (parent, child) = Store(tmp_path / "store"), study.runs()
    list(compute(parent, [], store))
    next(compute(child, [], store))
    replace_weights(store, parent, {name: 1.01 * tensor for name, tensor in store.run(parent.key).weights().items()})
    assert [step["epoch"] for step in compute(child, [], store)][:3] == [1, 2, 3]


def test_a_run_that_is_resumed_was_started_when_it_first_was(study_file, tmp_path):
    study, store = load_study(study_file(models="mod_lcnn", train="{}")), Store(tmp_path / "store")
    [run] = study.runs()
    next(compute(run, [], store))
    began_again = pd.Timestamp.now("UTC")
    list(compute(run, [], store))
    record = store.run(run.key).record()
    assert record.started_at < began_again < record.finished_at


def test_a_damaged_checkpoint_does_not_keep_a_run_from_being_trained(study_file, tmp_path):
    study, store = load_study(study_file(models="mod_lcnn", train="{}")), Store(tmp_path / "store")
    [run] = study.runs()
    checkpoint = tmp_path / "store" / "runs" / run.key / f"checkpoint-000001-00000000-{'0' * 32}.pt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"PK not a checkpoint")
    list(compute(run, study.tests(run), store))
    assert store.trained() == {run.key} and not checkpoint.exists()


def catches_signals(process: subprocess.Popen) -> bool:
    """Is Python, which is starting, so far that a process handles SIGTERM?"""
    caught = re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{process.pid}/status").read_text())
    return bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.parametrize("delay", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_anything_runs_ends_in_a_sentence(study_file, tmp_path, number, delay):
    command = [sys.executable, "-m", "sweeps", "run", study_file(), "--store", str(tmp_path / "store")]
    driver = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    while not catches_signals(driver):
        time.sleep(0.01)
    time.sleep(delay)
    driver.send_signal(number)
    output, errors = driver.communicate(timeout=300)
    if number == signal.SIGTERM and driver.returncode == 0:  # by which a launch that has begun ends in order
        assert "Ended early" in output and errors == ""
    else:
        assert driver.returncode == 130 and "Interrupted" in errors and "Traceback" not in errors


def test_a_signal_while_modules_are_imported_ends_in_a_sentence_before_the_command_begins():
    code = """if True:
        import builtins, os, signal, sys
        from sweeps.__main__ import main

        def load(name, *rest, load=builtins.__import__, **more):
            if name == "sweeps.cli":
                try:
                    os.kill(os.getpid(), signal.SIGINT)
                except BaseException:  # as modules do that try what there is
                    pass
            return load(name, *rest, **more)

        builtins.__import__, sys.argv = load, ["amc", "models"]
        main()
    """
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 130 and ended.stdout == "" and ended.stderr.startswith("\nInterrupted.")


def test_a_signal_while_a_command_imports_what_it_needs_is_not_lost(tmp_path):
    swallowing = "import os, signal\ntry:\n    os.kill(os.getpid(), signal.SIGINT)\nexcept BaseException:\n    pass"
    (tmp_path / "swallowing.py").write_text(swallowing)
    code = "import signal, sys; from sweeps.__main__ import interrupt; signal.signal(signal.SIGINT, interrupt); "
    code += f"sys.path.append({str(tmp_path)!r}); import swallowing; print('went on')"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 130 and ended.stdout == "" and ended.stderr.startswith("\nInterrupted.")


def test_a_mixture_of_many_parts_is_told_by_those_that_differ():
    assert words("awgn + awgn + rayleigh") == "awgn + rayleigh (3 parts)" and words("2 + 4") == "2 + 4"
    assert words("cnn_2d") == "cnn_2d" and words(8.0) == "8" and words(float("nan")) == ""


@pytest.mark.parametrize("command", ["schema", "models"])
def test_a_reader_that_has_had_enough_ends_the_command_without_a_word(command):
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run([sys.executable, "-m", "sweeps", command], stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert ended.returncode == 128 + signal.SIGPIPE and ended.stderr == ""


def test_results_of_nothing_say_how_to_compute_them(amc, study_file, tmp_path):
    refused = amc("results", study_file(), "--store", str(tmp_path / "store"))
    assert refused.returncode == 2 and "amc run" in refused.stderr


def test_a_trial_that_fails_is_recorded_the_others_go_on_and_the_next_launch_tries_it_again(amc, study_file, tmp_path):
    obstacle, store = tmp_path / "obstacle", tmp_path / "store"
    (tmp_path / "net.py").write_text(
        textwrap.dedent(f"""
        from pathlib import Path

        from torch import nn


        class Net(nn.Module):
            def __init__(self, classes, length):
                super().__init__()
                self.head = nn.Linear(2 * length, classes)

            def forward(self, x):
                if len(x) > 2 and Path({str(obstacle)!r}).exists():  # a dry run has two instances
                    raise RuntimeError("an obstacle")
                return self.head(x.flatten(1))
        """)
    )
    path = study_file(models="[hoc_svm, net.Net]", code="[net.py]")
    broken = [run.key for run in load_study(path).runs() if run.model != "hoc_svm"]
    obstacle.touch()
    failed = amc("run", path, "--store", str(store))
    assert failed.returncode == 1 and "2 of 4 runs are incomplete" in failed.stderr
    assert all(key in failed.stderr for key in broken) and failed.stderr.count("RuntimeError: an obstacle") == 2
    assert "2 failed" in amc("status", "--store", str(store)).stdout
    obstacle.unlink()
    other = study_file("other", models="hoc_svm", test="{channel: awgn, upsampling: 16}")  # of two of the four runs
    both = amc("run", path, other, "--store", str(store))
    assert both.returncode == 0 and "2 studies are complete: 4 runs, 18 cells" in both.stdout
    assert "4 runs trained, 0 begun, 0 failed" in amc("status", path, "--store", str(store)).stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("simulate", "awgn", "--snr", "1:18"), "--snr '1:18' is not allowed: it has to be a number of dB"),
        (("simulate", "awgn", "--snr", "1_0"), "--snr '1_0' is not allowed: it has to be a number of dB"),
        (
            ("simulate", "awgn", "--length", "8.5"),
            "--length '8.5' is not allowed: it has to be a whole number of samples",
        ),
        (("simulate", "awgn", "--seed", "-1"), "--seed '-1' is not allowed: it has to be a whole number from 0"),
        (
            ("run", "quickstart", "--gpus-per-trial", "nan"),
            "--gpus-per-trial 'nan' is not allowed: it has to be a number",
        ),
        (
            ("saliency", "quickstart", "--instance", "x"),
            "--instance 'x' is not allowed: it has to be a whole number from 0",
        ),
        (("models", "--classes", "1"), "--classes '1' is not allowed: it has to be a whole number from 2 to 10,000"),
    ],
)
def test_numbers_of_options_are_read_as_those_of_studies(arguments, sentence):
    with pytest.raises(AmcError) as refusal:
        app(arguments)
    assert str(refusal.value).startswith(sentence)


def test_the_shell_completes_the_name_of_every_scale():
    assert SCALE_NAMES == tuple(SCALES)
