"""Launches that end early: by a time limit, or as soon as they are asked to."""

import shutil
import signal
import subprocess
import sys
import time
from itertools import count, pairwise
from pathlib import Path

import pandas as pd
import pytest

import sweeps
from amc_core import AmcError
from benchmarks.faults import tables
from sweeps.engine import ending as endings
from sweeps.engine.ending import Cut, Ending
from sweeps.engine.feed import Feed
from sweeps.engine.options import limit_in_seconds
from sweeps.engine.trial import compute
from sweeps.engine.worker import CUT
from sweeps.planning import Plan, make_plan
from sweeps.search import Search
from sweeps.store import Store
from sweeps.study import load_study
from tests.sweeps.searching import drive, states
from tests.sweeps.test_driver import QUIET

LONG = "{epochs: 150, batch_size: 16}"
RUN = [sys.executable, "-m", "sweeps", "run"]


def asked_after(times: int):
    """What says for the first `times` times that it is asked that the launch goes on."""
    asked = count(1)
    return lambda: next(asked) > times


def require_equal(study: str, one: Path, other: Path) -> None:
    """Both stores hold the same tables of a study."""
    expected = tables(study, other)
    for name, table in tables(study, one).items():
        assert len(table) > 0
        pd.testing.assert_frame_equal(table, expected[name])  # keys, digests of weights, counts


# -- the limit -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *[("3h", 10800), ("1h30m", 5400), ("90s", 90), ("1.5h", 5400), ("2d", 172800), (" 1d2h3m4s ", 93784)],
        *[("0:45:00", 2700), ("1-12:00:00", 129600), ("30:00", 1800), (90, 90), (0.5, 0.5), (None, None)],
    ],
)
def test_a_limit_is_read_as_people_and_slurm_write_it(text, seconds):
    assert limit_in_seconds(text) == seconds


@pytest.mark.parametrize(
    "text", ["3x", "-1h", "0", "nan", "", "0s", "90", "1h30", "30m1h", "1:99:00", "1:00:60", "1e9d"]
)
def test_a_limit_that_is_none_is_refused_in_a_sentence_before_anything_is_done(amc, study_file, tmp_path, text):
    refused = amc("run", study_file(), "--store", str(tmp_path / "store"), "--time-limit", text)
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1 and refused.stdout == ""
    assert f"--time-limit {text!r} is not allowed" in refused.stderr and "1h30m" in refused.stderr
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf"), True])
def test_a_number_that_is_no_limit_is_refused(limit):
    with pytest.raises(AmcError, match="is not allowed: give a duration"):
        limit_in_seconds(limit)


# -- which runs start ----------------------------------------------------------------------------------


@pytest.fixture
def timed(clock, study_file, store, monkeypatch):
    """An `Ending` of an hour, of which 54 minutes are for three runs, and their keys by the minutes that they take."""
    study = load_study(study_file(models="mod_lcnn", train="{}", seeds="[0, 1, 2]"))
    plan = make_plan(study, store)
    minutes = dict(zip((entry.run.key for entry in plan.runs), (10, 30, 90), strict=True))
    monkeypatch.setattr(endings, "run_seconds", lambda entry, *rest, **more: 60 * minutes[entry.run.key])
    ending = Ending(3600)
    ending.expect(plan.incomplete, store)
    ending.begin(shipped=True)
    return ending, {minute: key for key, minute in minutes.items()}


def test_no_run_starts_that_could_not_end_in_what_is_left_but_for_those_that_never_could(timed, clock):
    ending, runs = timed
    assert all(map(ending.fits, runs.values())) and not ending.withheld
    clock.now += 1800
    assert [ending.fits(runs[minutes]) for minutes in (10, 30, 90)] == [True, False, True]
    assert ending.withheld and ending.early and not ending.due()
    assert ending.latest(runs[10]) == clock.now + 29 * 60 - 600 and ending.latest(runs[90]) is None
    clock.now += 1740
    assert ending.due() and not ending.over
    clock.now += 60
    assert ending.over


def test_what_a_run_has_done_already_counts(timed, clock, monkeypatch):
    ending, runs = timed
    clock.now += 1800
    monkeypatch.setattr(endings, "run_seconds", lambda entry, speeds, done=0.0, shipped=True: 1800 * (1 - done))
    begun = type("Begun", (), {"share": lambda self: 0.5})()
    monkeypatch.setattr(endings, "read_begun", lambda folder: begun if folder.key == runs[10] else None)
    assert ending.fits(runs[10]) and not ending.fits(runs[30])


def test_durations_are_the_stores_own_and_shipped_ones_before_there_are_any(clock, study_file, store, monkeypatch):
    plan = make_plan(load_study(study_file(models="mod_lcnn", train="{}")), store)
    [entry] = plan.runs
    shipped, own = endings.run_seconds(entry, {}), endings.run_seconds(entry, {("cpu", "mod_lcnn"): (128, 128)})
    assert own == entry.training_work + entry.evaluation_work and 0 < shipped < own / 100
    assert endings.run_seconds(entry, {("cpu", "vgg"): (128, 128)}, shipped=False) is None
    ending = Ending(3600)
    ending.expect(plan.runs, store)
    ending.begin(shipped=True)
    clock.now += 3540 - 2 * shipped
    assert ending.fits(entry.run.key)
    monkeypatch.setattr(Store, "speeds", lambda store: {("cpu", "mod_lcnn"): (128, 128)})
    clock.now += shipped * 1.5  # longer than is left; since it was last looked, a run has been timed
    ending.last_look -= 100
    assert ending.fits(entry.run.key) is (own > 3540)


def feed_of(plan, store, ending, search=None) -> Feed:
    return Feed(plan, search, store=store, attempts=1, nodes=lambda: {"a"}, ending=ending)


def test_a_run_that_the_end_stops_has_not_failed_and_costs_no_attempt(study_file, store):
    study = load_study(study_file(models="[hoc_svm]", train="{channel: [awgn, rayleigh]}"))
    feed = feed_of(make_plan(study, store), store, Ending(asked=lambda: asked[0]))
    asked = [False]
    run = feed.suggest("a")["run"]
    asked[0] = True
    assert feed.suggest("b") is None  # the first has not ended
    feed.on_trial_complete("a", {"failure": "stopped", "kind": CUT})
    assert feed.suggest("b") == Feed.FINISHED
    assert feed.failed == {} and feed.cut == {run.key} and not feed.tried


def test_a_search_makes_no_proposal_when_its_runs_could_not_end_and_what_is_begun_waits(search_file, store):
    study = load_study(search_file())
    search, ending = Search(study, store), Ending()
    feed = feed_of(make_plan(study, store), store, ending, search)
    feed.slots = lambda: 2
    first = feed.suggest("a")
    ending.withheld = True
    assert feed.suggest("b") is None and len(states(study, store)) == 1
    feed.on_trial_complete("a", {"failure": "stopped", "kind": CUT})
    assert feed.suggest("b") == Feed.FINISHED
    [proposal] = feed.proposals
    search.put_back(proposal)
    assert states(study, store) == ["waiting"]
    again = Search(study, store).ask()
    assert (again.trial.number, again.values) == (0, dict(first["values"]))


def test_a_search_stopped_again_and_again_makes_the_proposals_of_one_that_was_not(search_file, store, tmp_path):
    study = load_study(path := search_file(search="{proposals: 4, sampler: random}"))
    drive(study, Store(tmp_path / "whole"))
    for _ in range(3):
        feed = feed_of(Plan(()), store, Ending(), Search(study, store))
        config = feed.suggest("a")
        list(compute(config["run"], study.proposal(dict(config["values"])).tests(config["run"]), store))
        feed.on_trial_complete("a", {})
        feed.suggest("b")
        feed.on_trial_complete("b", {"failure": "stopped", "kind": CUT})
        assert feed.suggest("c") == Feed.FINISHED and len(feed.proposals) == 1
        feed.search.put_back(feed.proposals[0])
    drive(study, store)
    assert states(study, store) == ["complete"] * 4
    require_equal(path, store.path, tmp_path / "whole")


# -- a run that is stopped -----------------------------------------------------------------------------


def test_a_run_stopped_within_epochs_ends_in_the_weights_of_one_that_was_not(study_file, store, tmp_path):
    study = load_study(study_file(models="mod_lcnn", train="{}", recipe="{epochs: 3, batch_size: 8}"))
    [run] = study.runs()
    whole = Store(tmp_path / "whole")
    list(compute(run, study.tests(run), whole))
    saved = []
    for _ in range(4):
        with pytest.raises(Cut, match="stopped after epoch"):
            list(compute(run, study.tests(run), store, "cpu", asked_after(3)))
        saved.append(max(store.run(run.key).checkpoints().values())[:2])
    assert all(one < other for one, other in pairwise(saved)) and any(step for _, step in saved)
    list(compute(run, study.tests(run), store))
    assert store.run(run.key).weights_name() == whole.run(run.key).weights_name()
    assert (
        store.run(run.key)
        .epochs()
        .drop("instances_per_second")
        .equals(whole.run(run.key).epochs().drop("instances_per_second"))
    )


def test_a_run_stopped_in_evaluation_keeps_its_cells_and_is_not_called_failed(study_file, store):
    study = load_study(study_file(models="hoc_svm", train="{}"))
    [run] = study.runs()
    store.run(run.key).save_failure("an earlier launch's disk was full")
    with pytest.raises(Cut, match="stopped after 1 of 4 cells"):
        list(compute(run, study.tests(run), store, "cpu", lambda: True))  # what is fitted in one step is kept
    assert store.trained() == {run.key} and len(store.run(run.key).tested()) == 1 and store.failures() == {}
    list(compute(run, study.tests(run), store))
    assert len(store.run(run.key).tested()) == 4


# -- launches in one process ---------------------------------------------------------------------------


def test_a_study_that_is_stopped_again_and_again_ends_in_the_tables_of_one_that_was_not(study_file, tmp_path):
    study, store = study_file(recipe="{epochs: 4, batch_size: 16}"), tmp_path / "store"
    sweeps.run(study, tmp_path / "whole", ray=False, console=QUIET)
    launches = [sweeps.run(study, store, ray=False, console=QUIET, stop=asked_after(12))]
    while not launches[-1].complete:
        assert launches[-1].early and launches[-1].failures == {}
        launches.append(sweeps.run(study, store, ray=False, console=QUIET, stop=asked_after(12)))
    assert len(launches) > 3
    require_equal(study, store, tmp_path / "whole")


def test_a_limit_without_ray_leaves_the_rest_to_the_next_launch(amc, study_file, tmp_path):
    study, store = study_file(models="mod_lcnn", recipe="{epochs: 100000, batch_size: 16}"), str(tmp_path / "store")
    began = time.monotonic()
    ended = amc("run", study, "--store", store, "--without-ray", "--time-limit", "5s")
    assert ended.returncode == 0 and ended.stderr == "" and 4 < time.monotonic() - began < 60
    assert "The time limit of 0:00:05 is near" in ended.stdout
    assert "Ended early, with 2 of 2 runs (1 of them begun) and 8 of 8 cells left." in ended.stdout
    assert "The same command goes on" in ended.stdout
    assert "2 runs: 1 waiting, 1 begun" in amc("runs", study, "--store", store).stdout
    assert "0 runs trained, 1 begun, 0 failed" in amc("status", study, "--store", store).stdout
    [key] = Store(store).training()
    shown = amc("runs", "show", key, "--store", store).stdout
    assert f"run {key}: mod_lcnn" in shown and "begun" in shown and "since the launch ends" in shown


# -- launches as users start them ----------------------------------------------------------------------


def epochs_saved(store: Path) -> int:
    """Epochs that are in the store, in checkpoints and in finished runs."""
    place = Store(store)
    begun = [max(place.run(key).checkpoints().values())[0] for key in place.training()]
    return sum(begun) + sum(record.recipe.epochs for record in place.records().values())


def stopped_by(number: int, study: str, store: Path, *options: str, twice: bool = False) -> subprocess.CompletedProcess:
    """A launch that gets a signal as soon as it has saved another epoch."""
    before = epochs_saved(store)
    process = subprocess.Popen(
        [*RUN, study, "--store", str(store), *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 300
    while epochs_saved(store) == before and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    if twice:
        process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=300)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


@pytest.mark.parametrize("options", [(), ("--without-ray",)])
def test_slurms_warning_and_sigterm_end_a_launch_in_order_and_nothing_is_lost(study_file, tmp_path, options):
    study, store = study_file(models="mod_lcnn", recipe=LONG), tmp_path / "store"
    for number in (signal.SIGUSR1, signal.SIGTERM):
        ended = stopped_by(number, study, store, *options)
        assert ended.returncode == 0 and ended.stderr == "", ended.stderr
        assert "asked to end" in ended.stdout and "left. The same command goes on" in ended.stdout
        logs = "".join(path.read_text() for path in store.glob("runs/*/log-*"))
        assert "since the launch ends" in logs and not Store(store).failures()
    ended = subprocess.run([*RUN, study, "--store", str(store), *options], capture_output=True, text=True)
    assert ended.returncode == 0 and "small is complete" in ended.stdout
    sweeps.run(study, tmp_path / "whole", ray=False, console=QUIET)
    require_equal(study, store, tmp_path / "whole")


def test_a_second_sigterm_and_ctrl_c_do_not_wait(study_file, tmp_path):
    study, store = study_file(models="mod_lcnn", recipe="{epochs: 100000, batch_size: 16}"), tmp_path / "store"
    for first, twice in ((signal.SIGUSR1, True), (signal.SIGINT, False)):
        ended = stopped_by(first, study, store, "--without-ray", twice=twice)
        assert ended.returncode == 130 and "Interrupted." in ended.stderr


def test_a_warning_before_anything_has_begun_ends_in_order(study_file, tmp_path):
    code = (
        "import os, signal, sys; from sweeps.__main__ import main; from sweeps import driver; made = driver.make_plan\n"
    )
    code += "def warned(*a, **k): os.kill(os.getpid(), signal.SIGUSR1); return made(*a, **k)\n"
    code += "driver.make_plan = warned; main()"
    command = [sys.executable, "-c", code, "run", study_file(), "--store", str(tmp_path / "store")]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0 and ended.stderr == ""
    assert "Ended early, with 4 of 4 runs and 16 of 16 cells left." in ended.stdout


def cut_thrice(study: str, folder: Path, *options: str) -> tuple[Path, Path]:
    """Two stores of a study: of launches of which three are cut by their time limit after some work, and of one launch.

    The limit is what the latter takes to begin, and a sixth of its work. It follows a machine whose speed changes.
    """
    cut, whole = folder / "cut", folder / "whole"
    began = time.monotonic()
    process = subprocess.Popen([*RUN, study, "--store", str(whole), *options], stdout=subprocess.DEVNULL)
    while not list(whole.glob("runs/*/*")) and process.poll() is None:
        time.sleep(0.05)
    started = time.monotonic() - began
    assert process.wait() == 0
    cuts, limit = 0, started + (time.monotonic() - began - started) / 6
    for _ in range(40):
        before, limited = epochs_saved(cut), ("--time-limit", f"{limit / 0.9:.2f}s")  # a tenth is for the end
        ended = subprocess.run([*RUN, study, "--store", str(cut), *limited, *options], capture_output=True, text=True)
        assert ended.returncode == 0 and "Traceback" not in ended.stderr, ended.stderr
        if "is complete" in ended.stdout:  # too fast: once more, from the beginning
            shutil.rmtree(cut)
            cuts, limit = 0, limit / 1.5
        elif epochs_saved(cut) == before:  # too slow to begin
            limit *= 1.5
        else:
            assert "Ended early" in ended.stdout
            cuts += 1
            if epochs_saved(cut) / epochs_saved(whole) > cuts / 4:  # so that some is left for the next
                limit /= 1.2
        if cuts == 3:
            break
    assert cuts == 3
    ended = subprocess.run([*RUN, study, "--store", str(cut), *options], capture_output=True, text=True)
    assert ended.returncode == 0 and "is complete" in ended.stdout, ended.stderr
    return cut, whole


@pytest.mark.full
@pytest.mark.parametrize(("epochs", "options"), [(900, ()), (300, ("--without-ray",))])
def test_a_study_cut_three_times_by_its_time_limit_ends_in_the_tables_of_one_that_was_not(
    study_file, tmp_path, epochs, options
):
    transfer = "{train: {channel: rician}, recipe: {epochs: 40, retrain: head}}"
    study = study_file(models="mod_lcnn", recipe=f"{{epochs: {epochs}, batch_size: 16}}", transfer=transfer)
    require_equal(study, *cut_thrice(study, tmp_path, *options))


@pytest.mark.full
def test_a_search_cut_by_its_time_limit_ends_in_the_tables_of_one_that_was_not(search_file, tmp_path):
    recipe = "{epochs: 150, batch_size: 16, learning_rate: {float: [1e-4, 1e-2], log: true}}"
    study = search_file(recipe=recipe, resources="{cpus_per_trial: 2}", search="{proposals: 4, sampler: random}")
    cut, whole = cut_thrice(study, tmp_path)
    require_equal(study, cut, whole)
    assert states(load_study(study), Store(cut)) == ["complete"] * 4
