"""Where searches are kept: databases and damaged journals, drivers that die, several drivers at once."""

import itertools
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import optuna
import pytest

from amc_core import AmcError
from sweeps import search
from sweeps.engine.trial import compute
from sweeps.search import Search, trials
from sweeps.search.liveness import driver_name
from sweeps.study import load_study
from tests.needs import needs, needs_package
from tests.sweeps.searching import RATE, drive, states


@pytest.fixture(scope="session")
def postgresql():
    """The URL of a PostgreSQL server of our own."""
    initdb = needs("a PostgreSQL server", "initdb", folders=("/usr/lib/postgresql/*/bin",))
    needs_package("psycopg")
    root = os.geteuid() == 0  # as whom the server refuses to run
    folder = Path(f"/tmp/amc-postgresql-{os.getpid()}")
    folder.mkdir()
    as_user = []
    if root:
        shutil.chown(folder, "postgres")
        as_user = ["runuser", "-u", "postgres", "--"]
    try:
        subprocess.run(
            [*as_user, initdb, "-D", folder / "data", "-A", "trust", "-U", "amc"], check=True, capture_output=True
        )
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
        server = [*as_user, str(Path(initdb).with_name("pg_ctl")), "-D", folder / "data", "-w"]
        subprocess.run([*server, "-o", options, "-l", folder / "log", "start"], check=True, stdout=subprocess.DEVNULL)
        yield f"postgresql+psycopg://amc@127.0.0.1:{port}/postgres"
        subprocess.run([*server, "-m", "immediate", "stop"], check=True, capture_output=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["journal", "sqlite", "postgresql"])
def storage(request, tmp_path):
    """What the section search says of its storage."""
    if request.param == "postgresql":
        return f", storage: '{request.getfixturevalue('postgresql')}'"
    return "" if request.param == "journal" else f", storage: 'sqlite:///{tmp_path}/trials.db'"


def test_any_storage_survives_a_driver_that_dies_in_mid_run(search_file, store, storage):
    study = load_study(search_file(search=f"{{proposals: 4{storage}}}"))
    assert trials(study, store) == []
    abandoned = drive(study, store, runs=2)
    assert states(study, store) == ["complete", "complete", "interrupted"]  # its driver, this process, is through
    lost = trials(study, store)[-1].params
    again = drive(study, store)
    assert states(study, store) == ["complete", "complete", "interrupted", "complete", "complete"]
    assert trials(study, store)[3].params == lost
    assert len(again) == 2 and not set(abandoned) & set(again)


def test_a_trial_whose_driver_lives_is_left_alone(search_file, store):
    study = load_study(search_file())
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        Search(study, store).ask().trial.set_user_attr("driver", driver_name(other.pid))
        assert len(drive(study, store)) == 3
        assert states(study, store) == ["running"] + ["complete"] * 3
    finally:
        other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays a zombie
    assert len(drive(study, store)) == 1
    other.wait()
    assert states(study, store) == ["interrupted"] + ["complete"] * 4


def test_a_trial_that_another_driver_has_ended_is_no_error(search_file, store):
    study = load_study(search_file(search="{proposals: 1}"))
    first = Search(study, store)
    proposal = first.ask()
    Search(study, store)  # takes it for left over
    first.fail(proposal, "its worker died")
    assert states(study, store)[0] == "interrupted"


def test_a_driver_takes_over_from_one_that_dies_while_it_goes_on_itself(search_file, store, monkeypatch):
    study = load_study(search_file(search="{proposals: 2}"))
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        lost = Search(study, store).ask()
        lost.trial.set_user_attr("driver", driver_name(other.pid))
        ours = Search(study, store)
        first = ours.ask()
        assert (
            states(study, store) == ["running", "interrupted"] and not ours.wanted
        )  # this process has ended, to others
    finally:
        other.kill()
        other.wait()
    monkeypatch.setattr("sweeps.search.proposals.LOOK_SECONDS", -1)
    ours.show_life()
    assert [trial.state.name for trial in trials(study, store)] == ["FAIL", "RUNNING", "WAITING"] and ours.wanted
    assert ours.ask().values == lost.values != first.values
    assert not ours.wanted


def test_a_trial_whose_driver_has_ended_is_not_said_to_run(search_file, store, amc):
    path = search_file(search="{proposals: 2}")
    study = load_study(path)
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    Search(study, store).ask().trial.set_user_attr("driver", driver_name(other.pid))
    shown = amc("search", path, "--store", str(store.path)).stdout
    assert "0 of 2 proposals complete, 1 running" in shown
    other.kill()
    other.wait()
    shown = amc("search", path, "--store", str(store.path)).stdout
    assert "0 of 2 proposals complete, 1 interrupted" in shown and "running" not in shown


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_drivers_that_ask_at_the_same_moment_draw_different_proposals(search_file, store, sampler):
    study = load_study(search_file(search=f"{{proposals: 40, sampler: {sampler}}}"))
    drivers = [Search(study, store) for _ in range(3)]
    asked = []
    for _ in range(13):
        begun = [driver.optuna.ask() for driver in drivers]  # all three before any of them draws
        waiting = iter(begun)
        for driver in drivers:
            driver.optuna.ask = lambda waiting=waiting: next(waiting)
            asked.append(driver.ask().values["recipe.learning_rate"])
            del driver.optuna.ask
    assert len(set(asked)) == 39


@pytest.fixture
def on_host(monkeypatch):
    """(name, seconds from now): this process is on that machine, at that time."""

    def move(name: str, later: float = 0) -> None:
        monkeypatch.setattr("sweeps.search.liveness.socket", SimpleNamespace(gethostname=lambda: name))
        clock = SimpleNamespace(time=lambda: time.time() + later, monotonic=lambda: time.monotonic() + later)
        for module in ("liveness", "proposals"):
            monkeypatch.setattr(f"sweeps.search.{module}.time", clock)

    return move


def test_a_trial_of_another_machine_is_taken_over_only_when_its_driver_has_been_silent_for_long(
    search_file, store, storage, on_host
):
    study = load_study(search_file(models="hoc_svm", search=f"{{proposals: 3{storage}}}"))
    on_host("first")
    first = Search(study, store)
    proposal = first.ask()
    on_host("second", later=500)
    Search(study, store)
    assert states(study, store) == ["running"]
    on_host("first", later=900)
    first.show_life()
    on_host("second", later=1400)
    Search(study, store)
    assert states(study, store) == ["running"]
    on_host("second", later=1600)
    drive(study, store)
    assert states(study, store) == ["interrupted"] + ["complete"] * 3
    assert trials(study, store)[1].params == proposal.values


def test_a_driver_whose_trials_others_have_taken_goes_on(search_file, store, storage, on_host):
    recipe = RATE.replace("epochs: 1", "epochs: 4")
    study = load_study(search_file(recipe=recipe, search=f"{{proposals: 3, pruner: asha{storage}}}"))
    on_host("first")
    first = Search(study, store)
    proposals = [first.ask(), first.ask()]
    [run] = proposals[0].study.runs()
    list(compute(run, proposals[0].study.tests(run), store))
    on_host("second", later=700)
    Search(study, store)
    assert states(study, store) == ["interrupted", "interrupted", "waiting", "waiting"]
    assert not first.prune(proposals[0], 1, 0.5)
    first.complete(proposals[0])
    first.fail(proposals[1], "its worker died")
    assert states(study, store) == ["interrupted", "interrupted", "waiting", "waiting"]
    assert first.ask().values == proposals[0].values


def test_a_trial_that_is_taken_before_it_has_its_drivers_name_is_no_error(search_file, store, storage):
    study = load_study(search_file(seeds="[7]", search=f"{{proposals: 1{storage}}}"))
    driver = Search(study, store)
    ask = driver.optuna.ask
    driver.optuna.ask = lambda: (ask(), Search(study, store))[0]
    assert driver.ask() is None
    driver.optuna.ask = ask
    assert driver.wanted and driver.ask() is not None


def test_values_are_proposed_again_once_though_a_driver_dies_in_doing_so_and_others_do_it_too(
    search_file, store, monkeypatch
):
    study = load_study(search_file(search="{proposals: 1}"))
    values = Search(study, store).ask().values
    with monkeypatch.context() as patch:
        patch.setattr(Search, "_tell", lambda *arguments, **more: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            Search(study, store)
    again = Search(study, store)
    Search(study, store)
    assert states(study, store) == ["interrupted", "waiting"]
    assert again.ask().values == values


def test_a_journal_cut_off_in_mid_line_is_read_and_continued(search_file, store):
    study = load_study(search_file(search="{proposals: 2}"))
    drive(study, store)
    [journal] = (store.path / "searches").glob("*.journal")
    journal.write_bytes(journal.read_bytes()[:-20])
    assert states(study, store) == ["complete", "interrupted"]
    drive(study, store)
    assert states(study, store) == ["complete", "interrupted", "complete"]


DAMAGE = {
    "overwritten": lambda line: b"\0" * len(line),
    "without its end": lambda line: line[:-9],
    "in two": lambda line: line[:9] + b"\n" + line[9:],
    "of another kind": lambda line: line.replace(b'"op_code":', b'"op_code":7'),
    "without a field": lambda line: line.replace(b"_id", b"_ie").replace(b"study_name", b"study_nane"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_journal_with_any_line_damaged_is_set_aside_and_nothing_is_computed_again(search_file, store, damage):
    study = load_study(search_file(models="hoc_svm", seeds="[0, 1]"))
    driver = Search(study, store)
    proposals = [driver.ask() for _ in range(4)]  # side by side, so that their lines are mixed
    for proposal in proposals[::-1]:
        for run in proposal.study.runs():
            list(compute(run, proposal.study.tests(run), store))
        driver.complete(proposal)
    told = [(trial.params, trial.values) for trial in trials(study, store)]
    [journal] = (store.path / "searches").glob("*.journal")
    sound = journal.read_bytes()
    lines = sound.splitlines()
    assert len(lines) == 2 + 1 + 4 * 5
    for at in range(len(lines)):
        damaged = b"\n".join([*lines[:at], DAMAGE[damage](lines[at]), *lines[at + 1 :]]) + b"\n"
        journal.write_bytes(damaged)
        assert "set aside" in search.mend(study, store) and search.mend(study, store) == ""
        [aside] = journal.parent.glob("*.journal.damaged-*")
        assert aside.read_bytes() == damaged
        aside.unlink()
        kept = [(trial.params, trial.values) for trial in trials(study, store) if trial.values]
        assert sum(trial in told for trial in kept) >= 3, at
        assert drive(study, store) == []
        assert states(study, store).count("complete") == 4
    assert search.mend(study, store) == ""


def test_a_driver_goes_on_while_another_mends_the_journal(search_file, store):
    study = load_study(search_file(models="hoc_svm"))
    driver = Search(study, store)
    first = driver.ask()
    [journal] = (store.path / "searches").glob("*.journal")
    lines = journal.read_bytes().split(b"\n")
    lines[4] = b"x" * len(lines[4])
    journal.write_bytes(b"\n".join(lines))
    assert "set aside" in search.mend(study, store)
    second = driver.ask()
    driver.fail(second, "why")
    assert [trial.state.name for trial in trials(study, store)] == ["RUNNING", "FAIL"]
    assert first.values != second.values == trials(study, store)[1].params


def test_a_lock_that_a_killed_driver_has_left_is_told_of_and_removed(search_file, store, monkeypatch, caplog):
    study = load_study(search_file())
    driver = Search(study, store)
    [journal] = (store.path / "searches").glob("*.journal")
    lock = journal.with_name(f"{journal.name}.lock")
    lock.touch()
    seconds = itertools.count()
    clock = SimpleNamespace(monotonic=lambda: next(seconds), sleep=lambda duration: None)
    monkeypatch.setattr(sys.modules[optuna.storages.journal.JournalFileOpenLock.__module__], "time", clock)
    monkeypatch.setattr(logging.getLogger("optuna"), "propagate", True)
    assert driver.ask() is not None
    assert not lock.exists()
    assert "longer than 10.0 seconds" in caplog.text and str(lock) in caplog.text
    assert "Forcibly releasing" in caplog.text


def test_a_storage_that_cannot_be_used_is_refused_without_its_password(search_file, store):
    url = "postgresql://someone:secret@127.0.0.1:1/amc"
    study = load_study(search_file(search=f"{{proposals: 2, storage: '{url}'}}"))
    with pytest.raises(AmcError, match="cannot be used") as refusal:
        trials(study, store)
    assert "secret" not in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "raised", [json.JSONDecodeError("Expecting value", "", 0), KeyError("state"), AssertionError()]
)
def test_whatever_a_storage_raises_is_one_sentence(search_file, store, raised, monkeypatch):
    study = load_study(search_file(search="{proposals: 2}"))
    driver = Search(study, store)
    proposal = driver.ask()
    monkeypatch.setattr(optuna.storages.journal.JournalFileBackend, "read_logs", Mock(side_effect=raised))
    for use in (
        lambda: driver.done,
        lambda: driver.wanted,
        driver.ask,
        lambda: driver.fail(proposal, "why"),
        driver._propose_again,
        lambda: Search(study, store),
        lambda: trials(study, store),
    ):
        with pytest.raises(AmcError, match="journal is damaged") as refusal:
            use()
        assert "\n" not in str(refusal.value) and "amc run" in str(refusal.value)
    assert driver.heading == "" and driver.show_life() is None


def test_a_search_on_an_object_store_needs_a_database(search_file):
    study = load_study(search_file())
    with pytest.raises(AmcError, match=r"search\.storage is missing"):
        trials(study, SimpleNamespace(path="s3://bucket/results"))
