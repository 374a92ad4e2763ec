"""What a file is: all of its content that is read, wherever it lies and whatever it is called."""

import os
import pickle
import shutil
import subprocess
import sys
import tarfile
import time

import numpy as np
import pytest

from amc_core import AmcError, Scenario, fingerprint
from amc_core.fingerprint import DigestedPath, content_digest, known_folder
from amc_core.recordings import open_recording, write_sigmf
from amc_core.scenario import Mixture, scenario_from
from tests.amc_core.recording_files import instances


@pytest.fixture
def large(tmp_path):
    """A file of 5 MB that nobody writes any more."""
    path = tmp_path / "large.bin"
    path.write_bytes(np.random.default_rng(0).bytes(5 << 20))
    time.sleep(0.15)
    return path


@pytest.fixture
def readings(monkeypatch, tmp_path):
    """The names of what is read for its digest, by a machine that has kept nothing yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    names, read = [], fingerprint.read_digest
    monkeypatch.setattr(fingerprint, "read_digest", lambda file, piece: names.append(piece.name) or read(file, piece))
    monkeypatch.setattr(fingerprint, "_known", {})
    return names


@pytest.mark.parametrize("place", [0, 65_537, 1 << 20, 3_333_333, (5 << 20) - 1])
def test_every_byte_of_a_file_counts(large, place):
    before = content_digest(large)
    with open(large, "r+b") as file:
        file.seek(place)
        byte = file.read(1)
        file.seek(place)
        file.write(bytes([byte[0] ^ 1]))
    assert content_digest(large) != before


def test_either_file_of_a_recording_names_both_and_so_does_an_archive_of_them(tmp_path, sigmf):
    data = sigmf.with_name("field.sigmf-data")
    archive = tmp_path / "other.sigmf"
    with tarfile.open(archive, "w") as tar:
        for path in (data, sigmf):
            tar.add(path, f"field/{path.name}")
    digest = content_digest(sigmf)
    assert content_digest(data) == content_digest(archive) == digest
    sigmf.write_text(sigmf.read_text().replace("16QAM", "64QAM"))
    relabelled = content_digest(data)
    assert relabelled == content_digest(sigmf) != digest
    content = bytearray(data.read_bytes())
    content[700] ^= 1
    data.write_bytes(content)
    assert content_digest(sigmf) not in (digest, relabelled)


def test_a_directory_is_its_recordings_and_no_other_file(tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    write_sigmf(folder / "a", instances(2), 1e6, "QPSK", 0)
    alone = content_digest(folder)
    assert alone == content_digest(folder / "a.sigmf-meta")
    write_sigmf(folder / "b", instances(2), 1e6, "BPSK", 0)
    both = content_digest(folder)
    (folder / ".DS_Store").write_bytes(b"Mac")
    (folder / "notes.txt").write_text("windy")
    (folder / "._a.sigmf-meta").write_bytes(b"\0\5\x16\7")  # as macOS writes beside each file on other disks
    shutil.copytree(folder, tmp_path / "elsewhere")
    assert content_digest(folder) == content_digest(tmp_path / "elsewhere") == both != alone
    assert open_recording(folder, 128).modulations == ("BPSK", "QPSK")
    with open(folder / "b.sigmf-data", "ab") as file:
        file.write(bytes(8))
    assert content_digest(folder) != both


def test_what_cannot_be_read_is_named(tmp_path, sigmf):
    sigmf.with_name("field.sigmf-data").unlink()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").mkdir()
    for path, part in (
        (sigmf, "field.sigmf-data"),
        (tmp_path / "pipe", "neither"),
        (tmp_path / "empty", "without .sigmf"),
    ):
        with pytest.raises(AmcError, match=part):
            content_digest(path)


def test_a_large_file_is_digested_once_on_a_machine(large, readings, monkeypatch):
    digest = content_digest(large)
    assert content_digest(large) == digest and len(readings) == 1
    fingerprint._known.clear()  # as another process
    assert content_digest(large) == digest and len(readings) == 1
    code = "from amc_core import fingerprint as f; f.read_digest = None; print(f.content_digest({!r}))"
    done = subprocess.run([sys.executable, "-c", code.format(str(large))], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest
    os.utime(large)  # touched, it may be another
    assert content_digest(large) == digest and len(readings) == 2


def test_what_has_just_been_written_is_read_again(large, readings):
    large.write_bytes(large.read_bytes())
    assert content_digest(large) == content_digest(large) and len(readings) == 2


def test_a_file_dated_in_the_future_is_digested_once_as_well(large, readings):
    os.utime(large, (4e9, 4e9))
    time.sleep(0.15)
    assert content_digest(large) == content_digest(large) and len(readings) == 1
    large.write_bytes(bytes(large.stat().st_size))
    os.utime(large, (4e9, 4e9))
    assert content_digest(large) and len(readings) == 2


def test_a_file_that_changes_while_it_is_digested_is_refused(large, readings, monkeypatch):
    read = fingerprint.read_digest

    def rewritten(file, piece):
        digest = read(file, piece)
        with open(large, "ab") as other:
            other.write(b"more")
        return digest

    monkeypatch.setattr(fingerprint, "read_digest", rewritten)
    with pytest.raises(AmcError, match=r"large\.bin.*changes while"):
        content_digest(large)


def test_digests_are_kept_where_something_can_be_written_or_nowhere(large, readings, monkeypatch, tmp_path):
    for name, value in (("XDG_CACHE_HOME", "/proc/none"), ("HOME", "/proc/none"), ("TMPDIR", str(tmp_path))):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("tempfile.tempdir", None)
    assert known_folder().parent == tmp_path and known_folder().stat().st_mode & 0o077 == 0
    monkeypatch.setattr("tempfile.tempdir", "/proc/none")
    assert known_folder() is None and len(content_digest(large)) == 24


def test_a_folder_of_another_user_is_not_trusted(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert known_folder() == tmp_path / "cache" / "amc-sweeps"
    user = os.getuid()
    monkeypatch.setattr("os.getuid", lambda: user + 1)
    assert known_folder() != tmp_path / "cache" / "amc-sweeps"


def test_progress_is_told_on_a_terminal_for_a_large_file(large, monkeypatch, capsys, readings):
    monkeypatch.setattr(fingerprint, "_PROGRESS_BYTES", 1 << 20)
    content_digest(large)
    assert not capsys.readouterr().err
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr(fingerprint, "_known", {})
    monkeypatch.setattr(fingerprint, "recall", lambda *what: None)
    content_digest(large)
    assert "large.bin: 0.0 of 0.0 GB" in capsys.readouterr().err


# -- in scenarios --------------------------------------------------------------------------------------


def test_a_moved_file_is_the_same_setting_and_another_file_of_its_name_is_not(tmp_path, sigmf):
    moved = tmp_path / "elsewhere"
    shutil.copytree(tmp_path, moved)
    first, second = (Scenario(recording=str(path)) for path in (sigmf, moved / sigmf.name))
    assert first == second and len({first, second}) == 1 and first.columns() == second.columns()
    with pytest.raises(AmcError, match="all different"):
        Mixture((first, second), (1, 1))
    (moved / sigmf.name).write_text(sigmf.read_text().replace("16QAM", "64QAM"))
    other = Scenario(recording=str(moved / sigmf.name))
    assert other != first and other.columns()["recording"] != first.columns()["recording"]
    assert all(scenario.columns()["recording"].startswith("field.sigmf ") for scenario in (first, other))


@pytest.mark.parametrize("field", ["audio", "recording"])
def test_a_digest_travels_with_its_path(large, field):
    scenario = Scenario(**{field: str(large)})
    record = scenario.as_dict()
    sent = pickle.loads(pickle.dumps(scenario))
    large.write_bytes(b"another file")
    again = Scenario(**{field: str(large)})
    large.unlink()
    assert scenario_from(record) == scenario == sent != again
    assert scenario_from(record).definition() == scenario.definition()
    assert scenario_from(record).columns() == scenario.columns()


def test_a_file_that_is_not_there_and_was_never_read_is_its_path(tmp_path):
    gone, other = (Scenario(recording=str(tmp_path / name / "gone.h5")) for name in ("a", "b"))
    assert gone == Scenario(recording=str(gone.recording)) != other and gone.columns()["recording"] == "gone.h5"
    with pytest.raises(AmcError, match=r"gone\.h5.*cannot be read"):
        gone.definition()


def test_what_lies_at_a_path_has_to_be_what_was_planned(large):
    planned = pickle.loads(pickle.dumps(DigestedPath(str(large))))
    planned.require_planned()
    large.write_bytes(b"another file")
    with pytest.raises(AmcError, match=r"large\.bin.*changed since it was planned"):
        planned.require_planned()
    large.unlink()
    with pytest.raises(AmcError, match=r"large\.bin.*cannot be read"):
        planned.require_planned()
