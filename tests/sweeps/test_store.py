"""The store on both of its backends: one suite, a directory and a bucket of a local S3 server."""

import errno
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow.fs import FileType, LocalFileSystem

from amc_core import AmcError
from amc_core.evaluation import Evaluation
from amc_core.run import Dataset, Recipe, Run
from amc_core.scenario import Scenario
from sweeps.store import Damaged, Process, Store, files
from sweeps.store.cells import CELL_SCHEMA, parquet_bytes, read_footer
from tests.evaluations import evaluation_of

CLASSES = ("BPSK", "16QAM")
SNRS_DB = (0.0, 18.0)
OUTCOME = {"processes": [Process("here", "cpu", 1)], "seconds": 2.0}


def dataset(upsampling: int = 8) -> Dataset:
    return Dataset(Scenario(upsampling=upsampling), CLASSES, SNRS_DB, instances=10, length=128)


RUN = Run("mod_lcnn", dataset(), Recipe(epochs=3))
TESTS = [dataset(upsampling) for upsampling in range(2, 42)]


def counts(test: Dataset) -> tuple[Dataset, Evaluation]:
    """Confusion counts that tell of which test dataset they are."""
    return test, evaluation_of(np.full((len(SNRS_DB), 2, 2), int(test.scenario.upsampling), dtype=np.int64))


def state(epochs: int) -> dict:
    """The state of training after some epochs."""
    weights = {"weight": torch.arange(1000.0) + epochs}
    return {
        "weights": weights,
        "kept": weights,
        "kept_epoch": 1,
        "epochs": [{"epoch": e + 1, "loss": 1 / (e + 1)} for e in range(epochs)],
    }


def fill(store: Store, run: Run = RUN, tests: int = 4) -> None:
    """Record a finished run and cells of it."""
    store.run(run.key).save(run, state(3), **OUTCOME)
    store.run(run.key).save_cells(run, [counts(test) for test in TESTS[:tests]], seconds=0.5)


def names(store: Store, key: str = RUN.key) -> list[str]:
    return sorted(name.rpartition("/")[2] for name in store.files.list(f"runs/{key}"))


def name_of(store: Store, stem: str) -> str:
    """The newest file of the run whose name starts with `stem`."""
    return f"runs/{RUN.key}/{[name for name in names(store) if name.startswith(stem)][-1]}"


def damage(store: Store, stem: str, how: str) -> str:
    """Damage a file of the run, and return its name."""
    name = name_of(store, stem)
    content = store.files.read(name)
    middle = len(content) // 2
    altered = {
        "torn": content[:middle],
        "emptied": b"",
        "altered": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
    }
    store.files.write(name, altered[how])
    return name


def rows(store: Store) -> list[dict]:
    return pa.concat_tables(store.cell_tables([RUN.key])).to_pylist()


@pytest.fixture(scope="session")
def s3_server():
    """The address of a local S3 server."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def ask(server: str, method: str, path: str, body: bytes | None = None) -> None:
    request = urllib.request.Request(f"{server}/{path}", body, {"Content-Type": "text/plain"}, method=method)
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10).close()


@pytest.fixture
def s3(s3_server, monkeypatch):
    """The environment of somebody who uses the local S3 server, which has one bucket: "measurements"."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    ask(s3_server, "POST", "moto-api/reset")
    ask(s3_server, "PUT", "measurements")
    return s3_server


@pytest.fixture(params=["directory", "bucket"])
def store(request, tmp_path):
    if request.param == "directory":
        return Store(tmp_path / "store")
    request.getfixturevalue("s3")
    return Store("s3://measurements/amc/results")


# -- both backends ---------------------------------------------------------------------------------


def test_a_store_that_does_not_exist_holds_nothing(store):
    assert store.trained() == store.training() == store.run(RUN.key).tested() == set()
    assert store.failures() == store.speeds() == {} and store.verify([RUN.key]) == []
    assert store.run(RUN.key).record() is None and store.run(RUN.key).checkpoint() is None


def test_what_is_written_is_read_back(store):
    fill(store)
    assert store.trained() == {RUN.key} and store.training() == set()
    assert store.run(RUN.key).tested() == {test.key for test in TESTS[:4]}
    assert torch.equal(store.run(RUN.key).weights()["weight"], state(3)["kept"]["weight"])
    assert store.run(RUN.key).epochs().to_pylist() == state(3)["epochs"]
    record = store.run(RUN.key).record()
    assert record.model == "mod_lcnn" and record.dataset == RUN.dataset and record.recipe == RUN.recipe
    assert record.seconds == 2.0 and record.processes == (Process("here", "cpu", 1),)
    assert [row["confusion"] for row in rows(store)] == [[n] * 4 for n in (2, 2, 3, 3, 4, 4, 5, 5)]
    assert [table.column_names for table in store.cell_tables([RUN.key], ["n", "correct"])] == [["n", "correct"]]


def test_a_dataset_of_cells_holds_what_their_tables_hold(store):
    assert store.cell_dataset([]).count_rows() == store.cell_dataset([RUN.key]).count_rows() == 0
    fill(store)
    assert store.cell_dataset([RUN.key]).to_table().to_pylist() == rows(store)


def test_a_pickled_store_is_the_same_store(store):
    fill(store)
    assert pickle.loads(pickle.dumps(store)).trained() == {RUN.key}


def test_checking_that_a_store_can_be_written_leaves_no_trace(store, tmp_path):
    store.require_writable()
    assert list(tmp_path.rglob("*")) == [] and store.files.list("") == {}


def test_scratch_is_a_folder_where_arrow_writes_and_is_gone_afterwards(store):
    fill(store)
    before = store.files.list("")
    with store.scratch() as (path, filesystem), store.scratch() as (other, _):
        assert path != other
        filesystem = pickle.loads(pickle.dumps(filesystem)) or LocalFileSystem()
        filesystem.create_dir(f"{path}/trial")
        with filesystem.open_output_stream(f"{path}/trial/state") as file:
            file.write(b"state")
        assert store.trained() == {RUN.key}
    assert filesystem.get_file_info(path).type == FileType.NotFound and store.files.list("") == before


def test_the_scratch_of_a_killed_driver_is_removed_after_a_day_without_a_change(store, monkeypatch):
    with store.scratch() as (path, filesystem):
        filesystem = filesystem or LocalFileSystem()
        filesystem.create_dir(f"{path}/study")
        for name in ("first", "second"):
            with filesystem.open_output_stream(f"{path}/study/{name}") as file:
                file.write(b"state")
        now = time.time()
        for hours, there in ((23, True), (25, False)):
            monkeypatch.setattr(files.time, "time", lambda hours=hours: now + 3600 * hours)
            store.require_writable()
            assert (filesystem.get_file_info(f"{path}/study/first").type == FileType.File) == there
    assert store.files.list("") == {}


def test_a_failure_is_known_until_it_is_cleared_and_a_damaged_one_is_as_good_as_absent(store):
    store.run(RUN.key).save_failure("it\nbroke")
    assert store.failures()[RUN.key]["reason"] == "it\nbroke"
    for content in (b"{", b"[]", b"{}", b"\xff", b""):
        store.files.write(f"runs/{RUN.key}/failure.json", content)
        assert store.failures() == {} and store.verify([RUN.key]) == []
    store.run(RUN.key).clear_failure()
    store.run(RUN.key).clear_failure()
    assert names(store) == []


def test_the_newest_two_checkpoints_are_kept_until_the_run_is_finished(store):
    for epoch in (1, 2, 3):
        store.run(RUN.key).save_checkpoint(state(epoch))
    assert [name[:17] for name in names(store)] == ["checkpoint-000002", "checkpoint-000003"]
    assert store.training() == {RUN.key} and len(store.run(RUN.key).checkpoint()["epochs"]) == 3
    fill(store)
    assert store.training() == set() and not any(name.startswith("checkpoint") for name in names(store))


@pytest.mark.parametrize("how", ["torn", "emptied", "altered"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before_and_that_to_none(store, how):
    store.run(RUN.key).save_checkpoint(state(1))
    store.run(RUN.key).save_checkpoint(state(2))
    damage(store, "checkpoint-", how)
    assert len(store.run(RUN.key).checkpoint()["epochs"]) == 1
    damage(store, "checkpoint-", how)
    assert store.run(RUN.key).checkpoint() is None
    assert len(store.files.list("damaged")) == 2
    store.run(RUN.key).save_checkpoint(state(1))  # what was damaged does not push out what is new
    assert len(store.run(RUN.key).checkpoint()["epochs"]) == 1


READERS = {
    "run.json": lambda store: store.run(RUN.key).record(),
    "weights": lambda store: store.run(RUN.key).weights(),
    "epochs": lambda store: store.run(RUN.key).epochs(),
    "cells": lambda store: store.run(RUN.key).cell_tables(["n"]),
}


@pytest.mark.parametrize("how", ["torn", "emptied", "altered"])
@pytest.mark.parametrize("stem", READERS)
def test_damage_is_named_in_one_sentence_when_the_file_is_read(store, stem, how):
    fill(store)
    name = damage(store, stem, how)
    with pytest.raises(Damaged) as refused:
        READERS[stem](store)
    assert name in str(refused.value) and "'amc run'" in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("how", ["torn", "altered"])
@pytest.mark.parametrize("stem", ["run.json", "weights", "epochs"])
def test_damage_to_a_run_sets_it_aside_with_its_cells(store, stem, how):
    fill(store)
    before = {f"runs/{RUN.key}/{name}" for name in names(store)}
    damage(store, stem, how)
    assert set(store.verify([RUN.key, "0" * 24])) == before
    assert store.trained() == set() and store.run(RUN.key).tested() == set()
    kept = sorted(name.rpartition("/")[2].partition("-")[2] for name in store.files.list("damaged"))
    assert kept == sorted(name.rpartition("/")[2] for name in before)
    fill(store)
    assert store.verify([RUN.key]) == [] and store.trained() == {RUN.key}


def test_damage_to_cells_sets_those_aside_alone(store):
    fill(store)
    store.run(RUN.key).save_cells(RUN, [counts(TESTS[9])], seconds=0.5)
    name = damage(store, "cells", "altered")
    assert store.verify([RUN.key]) == [name]
    assert store.trained() == {RUN.key} and store.run(RUN.key).tested() < {test.key for test in TESTS}


def test_a_record_whose_weights_are_gone_is_set_aside(store):
    fill(store)
    store.files.delete(name_of(store, "weights"))
    assert f"runs/{RUN.key}/run.json" in store.verify([RUN.key]) and store.trained() == set()


def test_verifying_removes_what_the_record_does_not_name_once_it_is_old(store, monkeypatch):
    store.run(RUN.key).save_checkpoint(state(1))
    left = name_of(store, "checkpoint"), store.files.read(name_of(store, "checkpoint"))
    store.run(RUN.key).save(RUN, state(2), **OUTCOME)
    fill(store)  # as another process would that has trained it on a GPU
    store.files.write(*left)  # as one would that was suspended
    both = names(store)
    assert [name.split("-")[0] for name in both].count("weights") == 2
    assert store.verify([RUN.key]) == [] and names(store) == both  # any may be about to be named
    monkeypatch.setattr("sweeps.store.healing._RECORDED_SECONDS", -60)
    assert store.verify([RUN.key]) == []
    assert [name.split("-")[0] for name in names(store)] == ["cells", "epochs", "run.json", "weights"]
    assert store.run(RUN.key).epochs().num_rows == 3 and store.run(RUN.key).weights()


def test_verifying_leaves_other_runs_alone(store):
    fill(store)
    damage(store, "weights", "torn")
    assert store.verify(["0" * 24]) == [] and store.trained() == {RUN.key}


def test_a_listing_is_what_was_there_at_one_moment_and_survives_compaction(store):
    fill(store)
    store.run(RUN.key).save_cells(RUN, [counts(TESTS[9])], seconds=0.5)
    found = store.listing()
    store.run(RUN.key).compact()
    assert found.trained() == {RUN.key}
    assert list(found.tested(["0" * 24, RUN.key])) == [set(), store.run(RUN.key).tested()]
    assert len(store.run(RUN.key).tested()) == 5


def test_files_grow_with_runs_and_not_with_cells(store):
    for test in TESTS:
        store.run(RUN.key).save_cells(RUN, [counts(test)], seconds=0.5)
        assert len(names(store)) <= 16
    before = sorted(rows(store), key=str)
    store.run(RUN.key).compact()
    [name] = names(store)
    store.run(RUN.key).compact()
    assert names(store) == [name] and sorted(rows(store), key=str) == before and len(before) == 2 * len(TESTS)
    assert store.run(RUN.key).tested() == {test.key for test in TESTS}


def test_compaction_keeps_the_earlier_of_two_and_what_is_sound(store):
    for tests in (TESTS[:3], TESTS[1:5]):
        store.run(RUN.key).save_cells(RUN, [counts(test) for test in tests], seconds=0.5)
    earlier = {
        row["cell"]: row["evaluated_at"] for row in sorted(rows(store), key=lambda row: row["evaluated_at"])[::-1]
    }
    store.run(RUN.key).save_cells(RUN, [counts(TESTS[9])], seconds=0.5)
    lost = next(name for name in names(store) if store.run(RUN.key).footer(name).tests == {TESTS[9].key})
    store.files.write(f"runs/{RUN.key}/{lost}", b"torn")
    store.run(RUN.key).compact()
    assert len(names(store)) == 1 and len(rows(store)) == 2 * 5
    assert {row["cell"]: row["evaluated_at"] for row in rows(store)} == earlier
    assert [name.endswith(lost) for name in store.files.list("damaged")] == [True]


def test_speeds_are_medians_over_the_runs_of_a_kind_of_device(store):
    for seed, (device, seconds) in enumerate([("cpu", 1.0), ("cpu", 2.0), ("cpu", 8.0), ("NVIDIA H200", 0.1)]):
        run = Run("mod_lcnn", dataset(), Recipe(epochs=3), seed)
        store.run(run.key).save(run, state(3), [Process(device=device)], seconds=seconds)
        store.run(run.key).save_cells(run, [counts(TESTS[0])], seconds=seconds)  # 2 SNRs × 4 counts of 2
        store.run(run.key).save_cells(run, [counts(TESTS[0])], seconds=seconds)
        store.run(run.key).compact()
    trained = 3 * 2 * 2 * 8  # epochs × modulations × SNRs × training instances
    samples = dataset().length
    assert store.speeds() == {
        ("cpu", "mod_lcnn"): (trained * samples / 2, 16 * samples / 2),
        ("NVIDIA H200", "mod_lcnn"): (trained * samples / 0.1, 16 * samples / 0.1),
    }


def test_shares_of_a_gpu_are_told_with_the_samples_in_a_batch(store):
    store.run(RUN.key).save(RUN, state(3), **OUTCOME, gpu_share=0.2)
    assert store.gpu_shares() == {"mod_lcnn": [((256 * 128, RUN.dataset.size("train") * 128), 0.2)]}


HAMMER = """
import sys
import threading
from tests.sweeps.test_store import OUTCOME, RUN, TESTS, Store, counts, state
store, moments = Store(sys.argv[1]), int(sys.argv[2])
folder = store.run(RUN.key)
for moment in range(moments):
    store.run(RUN.key).save_checkpoint(state(1 + moment % 3))
    store.run(RUN.key).checkpoint()
    store.run(RUN.key).save_cells(RUN, [counts(TESTS[moment % 40])], 0.1)
    if moment % 5 == 0:
        folder.save(RUN, state(3) | {"epochs": [{"epoch": 1, "loss": float(sys.argv[3])}]}, **OUTCOME)
        store.run(RUN.key).compact()
    store.run(RUN.key).tested(), store.trained(), list(store.cell_tables([RUN.key])), store.run(RUN.key).record()
"""


def test_two_processes_that_compute_the_same_run_at_once_corrupt_nothing(store):
    moments = 24 if isinstance(store.path, Path) else 8
    commands = [[sys.executable, "-c", HAMMER, str(store.path), str(moments), writer] for writer in "12"]
    writers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    while any(writer.poll() is None for writer in writers):
        store.run(RUN.key).tested()  # a reader in the midst of it
        store.verify([RUN.key])
        time.sleep(0.05)
    for writer in writers:
        assert writer.wait() == 0, writer.communicate()[1]
    assert store.verify([RUN.key]) == [] and store.files.list("damaged") == {}
    store.run(RUN.key).compact()
    assert {row["cell"]: row["n"] for row in rows(store)} == {
        RUN.cell_key(test): 4 * int(test.scenario.upsampling) for test in TESTS[: min(moments, 40)]
    }
    assert len(rows(store)) == 2 * min(moments, 40)
    assert store.run(RUN.key).epochs()["loss"].to_pylist() in ([1.0], [2.0])


# -- directories -----------------------------------------------------------------------------------


@pytest.fixture
def directory(tmp_path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting is not permitted")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_told_in_one_sentence_and_nothing_half_written_is_left(small_disk):
    store = Store(small_disk / "store")
    store.run(RUN.key).save_checkpoint(state(1))
    saved = names(store)
    with pytest.raises(AmcError, match=r"is full: No space left.*; free some space and run the same command again"):
        store.run(RUN.key).save_checkpoint({"epochs": [], "weights": torch.zeros(40_000)})
    assert [path.name for path in small_disk.rglob("*") if path.is_file()] == saved
    with pytest.raises(AmcError, match="is full"):
        for number in range(100):
            store.files.write(f"runs/{number}", bytes(4096))
    with pytest.raises(AmcError, match="is full"):
        store.require_writable()
    store.run(RUN.key).save_failure("the disk was full")  # is no failure of its own
    assert len(store.run(RUN.key).checkpoint()["epochs"]) == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_is_found_full_only_when_it_is_flushed_leaves_nothing(directory, monkeypatch, number):
    def full(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AmcError, match="is full"):
        fill(directory)
    assert not [path for path in directory.path.rglob("*") if path.is_file()]


def test_a_read_only_disk_is_told_in_one_sentence(small_disk):
    store = Store(small_disk / "store")
    fill(store)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for write in (store.require_writable, lambda: fill(store), lambda: store.files.delete(name_of(store, "run"))):
        with pytest.raises(AmcError, match="cannot be written: Read-only file system; name another directory"):
            write()
    assert store.trained() == {RUN.key}


def test_a_directory_that_cannot_be_made_is_told_in_one_sentence():
    store = Store("/proc/nowhere/results")
    for write in (store.require_writable, lambda: fill(store)):
        with pytest.raises(AmcError, match=r"'/proc/nowhere/results' cannot be written: No such file.*--store"):
            write()
    assert store.trained() == set()


def test_a_store_whose_directory_vanishes_is_empty_and_written_anew(directory):
    fill(directory)
    directory.path.rename(directory.path.with_name("elsewhere"))
    assert directory.trained() == set() and directory.run(RUN.key).tested() == set()
    fill(directory)
    assert directory.trained() == {RUN.key}


def test_a_file_that_outgrows_its_limit_leaves_nothing_behind(directory):
    code = "import resource; from tests.sweeps.test_store import *; "
    code += "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)); fill(Store(sys.argv[1]))"
    ended = subprocess.run([sys.executable, "-c", code, str(directory.path)], capture_output=True, text=True)
    assert "AmcError: store" in ended.stderr and "File too large" in ended.stderr
    assert not [path for path in directory.path.rglob("*") if path.is_file()]


def test_what_killed_processes_have_left_is_removed_and_nothing_else(directory):
    fill(directory)
    sound = names(directory)
    folder = directory.path / "runs" / RUN.key
    code = "import os, sys, time; from sweeps.store.files import *; "
    code += "os.replace = lambda *names: (print(flush=True), time.sleep(60)); "
    code += f"Directory(Path(sys.argv[1])).write('runs/{RUN.key}/weights.pt', bytes(5000))"
    writer = subprocess.Popen([sys.executable, "-c", code, str(directory.path)], stdout=subprocess.PIPE)
    writer.stdout.readline()
    [left] = folder.glob(".*")
    an_hour_ago = time.time() - 3600
    os.utime(left, (an_hour_ago, an_hour_ago))
    directory.require_writable()
    assert left.exists()  # its process lives
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    elsewhere = folder / f".another-machine.1.{'0' * 32}"
    for path, age in ((elsewhere, 3600), (folder / ".nfs0001", 1e6)):
        path.touch()
        os.utime(path, (time.time() - age,) * 2)
    directory.require_writable()
    assert sorted(path.name for path in folder.glob(".*")) == sorted([".nfs0001", elsewhere.name])
    os.utime(elsewhere, (time.time() - 1e5,) * 2)
    directory.require_writable()
    assert not elsewhere.exists() and names(directory) == sound


def test_every_write_is_flushed_before_it_is_seen_and_its_name_after(directory, monkeypatch):
    events = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append(os.readlink(f"/proc/self/fd/{fd}")), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (events.append("renamed"), replace(a, b)))
    directory.files.write("runs/a/x", b"1")
    folder = directory.path / "runs" / "a"
    flushed, [renamed, named] = sorted(events[:-2]), events[-2:]
    assert flushed[:-1] == [str(folder.parents[2]), str(folder.parents[1]), str(folder.parent)]
    assert flushed[-1].startswith(f"{folder}/.") and renamed == "renamed" and named == str(folder)
    events.clear()
    directory.run("a").save_log("log.txt", "for people, and no result: waits for no disk")
    assert events == ["renamed"]


def test_a_record_is_seen_only_after_all_that_it_names_is_durable(store, monkeypatch):
    events = []
    fsync, replace = os.fsync, os.replace

    def synchronise(fd):
        path = Path(os.readlink(f"/proc/self/fd/{fd}"))
        events.append("folder" if path.is_dir() else "content")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", synchronise)
    monkeypatch.setattr(os, "replace", lambda a, b: (events.append(Path(b).name.partition("-")[0]), replace(a, b)))
    names = ["weights-1.pt", "epochs-1.parquet", "run.json"]
    store.files.write("runs/a/before", b"")
    events.clear()
    store.files.write_last({f"runs/a/{name}": name.encode() for name in names})
    if not isinstance(store.files, files.Directory):
        assert not events
    else:
        assert events == ["content"] * 3 + ["weights", "epochs", "folder", "run.json", "folder"]
    assert [store.files.read(f"runs/a/{name}") for name in names] == [name.encode() for name in names]


def test_six_hundred_cells_take_little_room_and_a_plan_reads_little_of_it():
    rng = np.random.default_rng(0)
    accuracy = np.linspace(0.05, 0.95, 13)[:, None, None]
    p = accuracy * np.eye(20) + (1 - accuracy) * rng.dirichlet(np.full(20, 0.1), size=20)
    n = 640 * 13
    confusion = rng.multinomial(100, np.broadcast_to(p, (640, 13, 20, 20))).astype(np.int32).reshape(n, 400)
    columns = {field.name: pa.nulls(n, field.type) for field in CELL_SCHEMA}
    columns["cell"] = [f"{i:024x}" for i in range(640) for _ in range(13)]
    columns["confusion"] = pa.ListArray.from_arrays(np.arange(0, n * 400 + 1, 400, dtype=np.int32), confusion.ravel())
    table = pa.table(columns, schema=CELL_SCHEMA)
    content = parquet_bytes(
        table, {"tests": " ".join(table["cell"].unique().to_pylist()), "instances": "1", "seconds": "1"}
    )
    read = []
    footer = read_footer(lambda count: read.append(count) or content[-count:])
    assert len(footer.tests) == 640 and sum(read) <= 1 << 15
    assert len(content) < 0.5 * confusion.size  # bytes: under half of one for each count


def test_a_store_is_opened_while_another_process_makes_or_removes_its_directory(tmp_path):
    path, ends = tmp_path / "store", threading.Event()

    def make_and_remove():
        while not ends.is_set():
            path.mkdir()
            path.rmdir()

    other = threading.Thread(target=make_and_remove)
    other.start()
    try:
        opened = [Store(path) for _ in range(20_000)]
    finally:
        ends.set()
        other.join()
    assert len(opened) == 20_000
    path.touch()
    with pytest.raises(AmcError, match="is a file: name a directory with --store"):
        Store(path)


@pytest.mark.parametrize("place", ["gs://bucket/x", "s3://", "s3:///x", "s3://A_B/x", "http://example.org"])
def test_an_unknown_kind_of_store_is_refused(place):
    with pytest.raises(AmcError, match="name a directory, or s3://bucket/prefix"):
        Store(place)


# -- buckets ---------------------------------------------------------------------------------------


def test_a_store_may_be_a_whole_bucket_and_stores_do_not_see_each_other(s3):
    whole, part = Store("s3://measurements"), Store("s3://measurements/part/")
    fill(part)
    assert whole.trained() == set() and part.trained() == {RUN.key}
    fill(whole)
    assert whole.trained() == {RUN.key} and str(part.path) == "s3://measurements/part"


def complaints(place: str):
    """What each operation says of a store that cannot be used."""
    store = Store(place)
    for operation in (store.trained, store.require_writable):
        began = time.monotonic()
        with pytest.raises(AmcError) as refused:
            operation()
        assert time.monotonic() - began < 60
        assert place in str(refused.value) and "\n" not in str(refused.value)
        yield str(refused.value)


def test_a_missing_bucket_is_told_in_one_sentence(s3):
    assert all("there is no such bucket" in complaint for complaint in complaints("s3://nowhere/amc"))


def test_denied_access_is_told_in_one_sentence(s3):
    ask(s3, "POST", "moto-api/reset-auth", b"0")
    try:
        assert all(
            "access is denied: set AWS_ACCESS_KEY_ID" in complaint for complaint in complaints("s3://measurements")
        )
    finally:
        ask(s3, "POST", "moto-api/reset-auth", b"inf")


def test_an_endpoint_that_cannot_be_reached_is_told_in_one_sentence(s3, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        assert all(f"{endpoint} cannot be reached" in complaint for complaint in complaints("s3://measurements/amc"))


def test_a_full_bucket_is_told_in_one_sentence(s3, monkeypatch):
    class Full:
        def open_output_stream(self, name):
            raise OSError("AWS Error UNKNOWN (HTTP status 507) during PutObject operation: XMinioStorageFull")

    monkeypatch.setattr(files, "bucket_files", lambda *arguments, **settings: Full())
    with pytest.raises(AmcError, match="'s3://measurements': it is full: free some space"):
        fill(Store("s3://measurements"))


def test_a_study_runs_into_a_bucket_and_its_results_are_read_from_there(s3, amc, study_file):
    path, place = study_file(models="hoc_svm"), "s3://measurements/results"
    ran = amc("run", path, "--store", place)
    assert ran.returncode == 0, ran.stderr
    assert "Nothing is missing" in amc("run", path, "--store", place).stdout
    assert "hoc_svm" in amc("results", path, "--store", place).stdout
    assert f"2 runs trained, 0 begun, 0 failed in {place}" in amc("status", "--store", place).stdout


@pytest.mark.parametrize(("seconds", "in_threads"), [(0, False), (0.005, True)])
def test_small_reads_go_on_in_threads_only_where_they_are_waited_for(directory, seconds, in_threads):
    used = set()

    def read(item: int) -> int:
        used.add(threading.get_ident())
        if seconds:
            time.sleep(seconds)
        return item

    assert list(directory.map(read, range(60), small=True)) == list(range(60))
    assert (len(used) > 1) == in_threads
