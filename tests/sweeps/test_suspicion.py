"""A store that strangers have touched: records and names of every kind that are not what was written."""

import json
import logging
import os
import shutil
import socket
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pytest

import sweeps
from amc_core import AmcError
from amc_core.identity import VERSION
from analysis import load
from analysis.query import query
from sweeps.engine.trial import compute
from sweeps.store import Damaged, Store, complaints
from sweeps.store.begun import Begun, read_begun, save_begun
from sweeps.store.begun import record_of as record_of_begun
from sweeps.store.cells import cell_bytes
from sweeps.store.record import _checksum, read_record
from sweeps.study import load_study

VERSION_1 = Path(__file__).parent / "data" / "version-1"


def sealed(plain: dict) -> bytes:
    """A record with the checksum that is right for it, whatever is in it."""
    return json.dumps(plain | {"checksum": _checksum(plain)}).encode()


def without(*path: str):
    def change(plain: dict) -> dict:
        inner = plain
        for name in path[:-1]:
            inner = inner[name]
        del inner[path[-1]]
        return plain

    return change


def having(value, *path: str):
    def change(plain: dict) -> dict:
        inner = plain
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = value
        return plain

    return change


OLDER = {  # fields that a record may lack
    "recipe.fresh": without("recipe", "fresh"),
    "recipe": without("recipe"),
    "processes": without("processes"),
    "seconds": without("seconds"),
    "started_at": without("started_at"),
    "finished_at": without("finished_at"),
    "parameters": without("parameters"),
    "validation_accuracy": without("validation_accuracy"),
    "hyperparameters": without("hyperparameters"),
    "parent": without("parent"),
    "dataset.seed": without("dataset", "seed"),
    "one too many": having(1, "of a later day"),
    "of a process one too many": having([{"host": "x", "colour": "red"}], "processes"),
}
SPOILT = {
    **{f"without {name}": without(name) for name in ("seed", "files", "model", "dataset")},
    **{
        f"{kind} as {name}": having(value, name)
        for name in ("recipe", "dataset", "files", "hyperparameters", "processes", "model", "seed")
        for kind, value in (("a list", [1]), ("a number", 1.5), ("null", None), ("true", True))
        if not (name == "processes" and kind == "a list")
    },
    "a process that is none": having([1], "processes"),
    "a recipe of a later day": having("x", "recipe", "colour"),
    "a scenario of a later day": having(1, "dataset", "scenario", "colour"),
    "a list as scenario": having([], "dataset", "scenario"),
    "SNRs as a text": having("0", "dataset", "snrs_db"),
    "weights elsewhere": having("../../../weights.pt", "files", "weights"),
    "no weights": without("files", "weights"),
    "a time that is none": having("yesterday", "finished_at"),
    "without version": without("version"),
    "a version as text": having("2", "version"),
    "a huge version": having(10**300, "version"),
    "a model that is no text": having("\ud800", "model"),
    "a model that colours the terminal": having("\x1b[31mred", "model"),
    "a hyperparameter that colours the terminal": having({"\x1b[31m": 1}, "hyperparameters"),
    "a part that colours the terminal": having("\x1b[31mhead", "recipe", "retrain"),
    "a modulation that colours the terminal": having(["\x1b[31m", "BPSK"], "dataset", "modulations"),
    "a model without a name": having(" ", "model"),
    "a huge seed": having(10**30, "seed"),
    "a huge number of parameters": having(10**30, "parameters"),
    "an accuracy that is no number of a computer": having(10**400, "validation_accuracy"),
    "endless seconds": having(float("inf"), "seconds"),
    "a parent that is none": having("../x", "parent"),
    "a parent that is not there": having("0" * 24, "parent"),
}
TORN = {
    "empty": b"",
    "a list": b"[]",
    "a number": b"1",
    "half": b'{"model": "mod_l',
    "no text": b"\xff\xfe\x00",
    "deep": b"[" * 100_000,
    "no checksum": b'{"model": "mod_lcnn"}',
}
FOREIGN = [
    "cells-notes.txt",
    "cells-old.parquet",
    "checkpoint-abc.pt",
    "checkpoint-000001.pt.bak",
    "weights.pt",
    "weights-backup.pt",
    "run.json~",
    "epochs-x.parquet",
    "Thumbs.db",
]


@pytest.fixture
def filled(study_file, tmp_path):
    """A study of two runs, of which one may be spoilt and the other is complete, and its store."""
    path = study_file(models="[hoc_svm]")
    study, store = load_study(path), Store(tmp_path / "store")
    for run in study.runs():
        list(compute(run, study.tests(run), store))
    complaints.warn_once.cache_clear()  # each is told once in the life of a process
    return path, study, store


def record_of(store: Store, key: str) -> dict:
    plain = json.loads(store.files.read(f"runs/{key}/run.json"))
    del plain["checksum"]
    return plain


@pytest.mark.parametrize("name", OLDER)
def test_a_record_that_is_older_than_a_field_or_younger_than_this_program_counts(filled, name):
    path, study, store = filled
    key = study.runs()[0].key
    store.files.write(f"runs/{key}/run.json", sealed(OLDER[name](record_of(store, key))))
    assert len(load("runs", store.path, path)) == 2 and len(load("cells", store.path, path)) == 2 * 4 * 2
    assert store.trained() == {run.key for run in study.runs()} and store.speeds() is not None


DEEP = b"[" * 100_000
ILL_FORMED = {
    "progress.json": (DEEP, b'{"seen": Infinity}', b'{"seen": "0001-01-01", "rows": [], "cells": 0}', b"\xff"),
    "label.json": (DEEP, b"{}", b'{"tags": 1, "note": []}', b"\xff"),
    "failure.json": (DEEP, b"[]", b'{"reason": {}}', b"\xff"),
}


@pytest.mark.parametrize("name", ILL_FORMED)
def test_what_is_for_information_only_hinders_nothing_whatever_it_holds(filled, amc, name):
    path, study, store = filled
    key = study.runs()[0].key
    for content in ILL_FORMED[name]:
        store.files.write(f"runs/{key}/{name}", content)
        for command in (("runs", path), ("runs", "show", key), ("status", path)):
            shown = amc(*command, "--store", str(store.path))
            assert shown.returncode == 0, (command, content[:40], shown.stderr)


def test_a_sign_of_life_without_a_time_zone_hinders_nothing(filled):
    _, study, store = filled
    folder = store.run(study.runs()[0].key)
    save_begun(folder, Begun(record_of_begun(study.runs()[0]), seen=datetime(2026, 1, 1)))
    assert read_begun(folder).age() is None


def test_forty_spoilt_records_are_each_told_by_their_path_and_count_as_missing(filled, amc, caplog, tmp_path):
    path, study, store = filled
    victim, sound = (run.key for run in study.runs())
    spoilt = {name: sealed(change(record_of(store, victim))) for name, change in SPOILT.items()} | TORN
    folders = {}
    for number, (name, content) in enumerate(spoilt.items()):
        folders[name] = store.path / "runs" / f"{number:024x}"
        shutil.copytree(store.path / "runs" / victim, folders[name])
        (folders[name] / "run.json").write_bytes(content)
    assert len(spoilt) >= 40
    for name in FOREIGN:
        (store.path / "runs" / victim / name).write_text("notes")
    (store.path / "runs" / "notes.txt").write_text("notes")
    (store.path / "runs" / victim / "run.json").write_bytes(spoilt["without files"])
    caplog.set_level(logging.WARNING, "sweeps")
    expected = {
        "plan": lambda shown: "runs  │ 2     │ 1            │ 1" in shown.stdout,
        "status": lambda shown: "1 run trained" in shown.stdout,
        "results": lambda shown: "hoc" in shown.stdout,
        "report": lambda shown: "written" in shown.stdout or shown.stdout,
    }
    commands = {name: (name, path, "--store", str(store.path)) for name in expected}
    commands["report"] += ("--to", str(tmp_path / "page.html"))
    commands["query"] = ("query", "SELECT count(DISTINCT run) AS runs FROM cells", "--store", str(store.path))
    expected["query"] = lambda shown: " 1 " in shown.stdout or "1\n" in shown.stdout
    for name, command in commands.items():
        complaints.warn_once.cache_clear()
        caplog.clear()
        shown = amc(*command)
        assert shown.returncode == 0, (name, shown.stderr)
        assert expected[name](shown), (name, shown.stdout)
        assert f"{store.path}/runs/{victim}/run.json is not the record of a run (it has no files)" in caplog.text
        if name in ("query", "status"):  # which ask for all runs
            untold = [name for name, folder in folders.items() if str(folder) not in caplog.text]
            assert untold == ["a parent that is not there"]  # which is no fault of its own
        for foreign in (f"{victim}/{name}" for name in FOREIGN):
            assert f"runs/{foreign} is not a file of the store" in caplog.text
    assert set(load("cells", store.path)["run"]) == {sound}


BRACKETS = {
    "model": having("[/x]", "model"),
    "hyperparameters": having({"[/a]": "[/b]"}, "hyperparameters"),
    "modulations": having(["[/x]", "16QAM"], "dataset", "modulations"),
    "recipe": having("[/x]", "recipe", "retrain"),
    "processes": having([{"host": "[/h]", "device": "[/d]", "torch": "[red]"}], "processes"),
}


@pytest.mark.parametrize("name", BRACKETS)
def test_brackets_in_a_record_are_shown_as_they_are_by_every_command(filled, amc, name, tmp_path):
    path, study, store = filled
    key = study.runs()[0].key
    store.files.write(f"runs/{key}/run.json", sealed(BRACKETS[name](record_of(store, key))))
    commands = [("plan", path), ("results", path), ("status", path), ("runs",), ("runs", path), ("runs", "show", key)]
    commands += [("query", f"SELECT * FROM {table}") for table in ("runs", "cells")]
    commands += [("report", path, "--to", str(tmp_path / "page.html"))]
    for command in commands:
        shown = amc(*command, "--store", str(store.path))
        assert shown.returncode == 0, (command, shown.stderr)
    assert name != "model" or "[/x]" in amc("runs", "--store", str(store.path)).stdout


@pytest.mark.parametrize("process", [{"threads": [1]}, {"device": "\x1b[31m"}, {"host": 1}, {"torch": None}])
def test_what_a_process_cannot_have_told_is_unknown(filled, process):
    _, study, store = filled
    changed = having([process], "processes")(record_of(store, study.runs()[0].key))
    record = read_record(sealed(changed), "run.json")
    assert {record.of_processes(name) for name in ("threads", "device", "torch")} == {"unknown"}
    assert record.processes[0].host == ""


def test_a_foreign_folder_is_told_once_however_much_is_in_it_and_no_name_commands_the_terminal(filled, caplog):
    _, study, store = filled
    (store.path / "runs" / "loop").symlink_to(".")
    (store.path / "runs" / "old").mkdir()
    for number in range(5):
        (store.path / "runs" / "old" / f"{number}.txt").write_text("notes")
    (store.path / "runs" / study.runs()[0].key / "\x1b[31mred\udcff").write_text("notes")
    caplog.set_level(logging.WARNING, "sweeps")
    assert len(store.records()) == 2
    assert len(caplog.messages) == 3 and all(line.isprintable() for line in caplog.messages)


def test_what_is_spoilt_is_set_aside_and_foreign_files_stay(filled):
    path, study, store = filled
    key = study.runs()[0].key
    folder = store.path / "runs" / key
    for name in FOREIGN:
        (folder / name).write_text("notes")
    store.files.write(f"runs/{key}/run.json", sealed(without("seed")(record_of(store, key))))
    aside = store.verify([run.key for run in study.runs()])
    assert f"runs/{key}/run.json" in aside and len(aside) == 4
    for run in study.runs():
        list(compute(run, study.tests(run), store))
    assert len(load("cells", store.path, path)) == 2 * 4 * 2 and store.verify([key]) == []
    assert {name for name in FOREIGN if (folder / name).read_text() == "notes"} == set(FOREIGN)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "directory"])
@pytest.mark.parametrize("kind", ["run", "weights", "cells"])
def test_a_pipe_or_a_directory_in_the_place_of_a_file_hangs_nothing_and_gives_way(filled, make, kind):
    path, study, store = filled
    run = study.runs()[0]
    [name] = store.run(run.key).names(kind)
    place = store.path / "runs" / run.key / name
    place.unlink()
    make(place)
    assert (run.key in store.trained()) == (kind == "cells")
    assert len(load("cells", store.path, path)) == 4 * 2
    store.verify([run.key])
    list(compute(run, study.tests(run), store))
    assert (place.is_file() or kind == "cells") and len(load("cells", store.path, path)) == 2 * 4 * 2


def socket_at(path):
    with socket.socket(socket.AF_UNIX) as opened:
        os.chdir(path.parent)  # the path of a socket is short
        opened.bind(path.name)


ODD = {
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a socket": socket_at,
}


@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
@pytest.mark.parametrize("kind", ["run", "weights", "cells"])
def test_what_is_no_file_is_told_by_its_path_and_blocks_nothing(filled, make, kind, caplog, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, study, store = filled
    run = study.runs()[0]
    [name] = store.run(run.key).names(kind)
    place = store.path / "runs" / run.key / name
    place.unlink()
    make(place)
    caplog.set_level(logging.WARNING, "sweeps")
    assert len(load("cells", store.path)) == 4 * 2
    assert f"{place} is not a readable file" in caplog.text
    list(compute(run, study.tests(run), store))
    assert len(load("cells", store.path)) == 2 * 4 * 2


def of_column(name: str, value, kind: pa.DataType):
    def change(table: pa.Table) -> pa.Table:
        return table.set_column(table.column_names.index(name), name, pa.array([value] * len(table), kind))

    return change


FORGED = {  # cells in a file whose digest is right
    "counts as texts": of_column("confusion", "x", pa.string()),
    "an SNR as text": of_column("snr_db", "x", pa.string()),
    "a scenario that is none": of_column("test_scenario", "{", pa.string()),
    "a scenario of a later day": of_column("test_scenario", '{"colour": 1}', pa.string()),
    "no scenario": of_column("test_scenario", None, pa.string()),
    "another run": of_column("run", "f" * 24, pa.string()),
    "no run": of_column("run", None, pa.string()),
    "a column too few": lambda table: table.drop_columns(["n"]),
    "half a page": lambda table: table,
}


@pytest.mark.parametrize("name", FORGED)
def test_cells_that_were_never_written_so_are_told_by_their_path_and_computed_again(filled, name, caplog):
    _, study, store = filled
    run = study.runs()[0]
    folder = store.run(run.key)
    [old] = folder.names("cells")
    content = cell_bytes(FORGED[name](folder.cell_table(old)), 1, 1.0)
    if name == "half a page":
        content = content[:10] + bytes(len(content) // 2) + content[10 + len(content) // 2 :]
    folder.delete([old])
    forged = folder._write("cells", "parquet", content)
    caplog.set_level(logging.WARNING, "sweeps")
    for read in (
        lambda: len(load("cells", store.path)),
        lambda: query("SELECT count(*) AS n FROM cells", store.path)["n"][0],
    ):
        complaints.warn_once.cache_clear()
        caplog.clear()
        assert read() == 4 * 2
        assert f"runs/{run.key}/{forged} is damaged" in caplog.text or "run" in name
    store.verify([run.key])
    list(compute(run, study.tests(run), store))
    assert len(load("cells", store.path)) == 2 * 4 * 2 == query("SELECT count(*) AS n FROM cells", store.path)["n"][0]


def test_counts_of_other_modulations_than_the_record_says_are_left_out_and_told(filled, caplog):
    _, study, store = filled
    key = study.runs()[0].key
    store.files.write(f"runs/{key}/run.json", sealed(having(["BPSK"], "dataset", "modulations")(record_of(store, key))))
    caplog.set_level(logging.WARNING, "sweeps")
    assert set(load("confusion", store.path)["run"]) == {study.runs()[1].key}
    assert f"{store.path}/runs/{key} holds counts that do not fit the modulations" in caplog.text


def test_folders_that_lead_in_a_circle_are_read_once(filled):
    path, _, store = filled
    (store.path / "runs" / "circle").symlink_to(store.path / "runs")
    for folder in (store.path / "runs").glob("?" * 24):
        (folder / "circle").symlink_to(store.path)
    assert len(load("cells", store.path, path)) == 2 * 4 * 2


def test_a_store_that_is_a_link_to_nothing_is_refused_at_once(tmp_path):
    (tmp_path / "store").symlink_to(tmp_path / "gone")
    with pytest.raises(AmcError, match=r"is a link to .*gone', which does not exist: make that directory, or name"):
        Store(tmp_path / "store")


def test_two_trials_of_a_run_each_have_a_log_of_their_own(filled):
    _, study, store = filled
    folder = store.run(study.runs()[0].key)
    first, second = folder.new_log(), folder.new_log()
    for name, text in ((first, "first\n"), (second, "second\n"), (first, "first\nfirst goes on\n")):
        folder.save_log(name, text)
    assert folder.log() == "first\nfirst goes on\nsecond\n"


def test_a_store_of_version_1_is_told_apart_in_one_sentence_and_counts_for_nothing(filled, amc, caplog):
    _, _, store = filled
    [old] = (VERSION_1 / "runs").iterdir()
    shutil.copytree(old, store.path / "runs" / old.name)
    shown = amc("query", "SELECT count(*) AS runs FROM runs", "--store", str(store.path))
    assert shown.returncode == 0 and " 2 " in shown.stdout
    told = [record.getMessage() for record in caplog.records if record.name == "sweeps"]
    assert told == [
        f"store {str(store.path)!r} holds runs of version 1 of this program: they are kept but ignored, since the same "
        "study has other results now"
    ]
    assert Store(VERSION_1).trained() == set() and old.name not in store.trained()
    assert VERSION > 1
    with pytest.raises(Damaged, match="is of version 1"):
        store.run(old.name).record()


@pytest.mark.parametrize("call", [sweeps.plan, sweeps.run])
def test_a_study_that_runs_in_a_store_of_version_1_is_told_so_in_one_sentence(call, tmp_path, study_file, caplog):
    shutil.copytree(VERSION_1, tmp_path / "store")
    study = study_file(models="hoc_svm", train="{channel: awgn}", test="{channel: awgn}")
    for _ in range(2):
        call(study, tmp_path / "store", **({"ray": False} if call is sweeps.run else {}))
    told = [record.getMessage() for record in caplog.records if record.name == "sweeps"]
    assert len(told) == 1 and "holds runs of version 1 of this program" in told[0]


def test_a_record_is_read_as_it_was_written(filled):
    _, study, store = filled
    run = study.runs()[0]
    record = store.run(run.key).record()
    assert read_record(record.content(), "here") == record
    assert (record.dataset, record.recipe, record.model, record.seed) == (run.dataset, run.recipe, "hoc_svm", 0)
    changed = replace(record, seconds=1.5)
    assert read_record(changed.content(), "here") == changed != record
