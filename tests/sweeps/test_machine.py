"""What a launch makes of the machine's own state: temporary folders, the environment, loopback, who may connect."""

import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import psutil
import pytest

from amc_core.errors import AmcError
from sweeps.engine import cluster
from sweeps.engine.options import require_options
from sweeps.engine.scratch import scratch_folder

ROOT = Path(__file__).parents[2]


@pytest.fixture
def temporary(monkeypatch):
    """A folder with a short path, and an environment that says nothing of temporary folders."""
    for name in ("RAY_TMPDIR", "TMPDIR", "XDG_RUNTIME_DIR", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    folder = Path("/tmp", f"t{os.getpid()}")
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


def test_a_launch_has_a_folder_that_only_its_user_can_enter_and_that_is_gone_afterwards(temporary, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(temporary))
    with scratch_folder() as folder:
        assert folder.parent == temporary and folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()


@pytest.mark.parametrize("variable", ["TMPDIR", "RAY_TMPDIR"])
def test_paths_of_sockets_are_short_whatever_the_temporary_folder_is(temporary, monkeypatch, variable):
    long = temporary / ("x" * 60)
    long.mkdir()
    monkeypatch.setenv(variable, str(long))
    if variable == "RAY_TMPDIR":  # which says where Ray's files are to be
        with pytest.raises(AmcError, match=r"RAY_TMPDIR '.*x' is too long a path for Ray's sockets: at most"):
            with scratch_folder():
                pass
    else:
        with scratch_folder() as folder:
            path = folder / "ray" / "session_2026-11-30_01-09-58_123456_4194304" / "sockets" / "plasma_store"
            assert folder.parent == Path("/tmp") and len(str(path)) <= 107


def test_a_full_temporary_folder_is_named_with_its_free_space(temporary, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(temporary))
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda directory: usage(100_000))
    with pytest.raises(AmcError, match=rf"'{temporary}' has 0.1 MB of free space.*set TMPDIR"):
        with scratch_folder():
            pass


def test_what_a_killed_launch_has_left_is_removed_and_what_a_living_one_uses_is_not(temporary, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(temporary))
    left, used = temporary / ".amc-left", temporary / ".amc-used"
    for folder in (left, used):
        folder.mkdir()
        (folder / "held").touch()
    with open(used / "held") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with scratch_folder():
            assert not left.exists() and used.exists()


@pytest.mark.parametrize(
    ("option", "variable", "named"),
    [
        (None, None, (None, "RAY_ADDRESS")),
        (None, "", (None, "RAY_ADDRESS")),
        (None, "local", (None, "RAY_ADDRESS")),
        ("local", "head:6379", (None, "--address")),
        (None, "head:6379", ("head:6379", "RAY_ADDRESS")),
        ("auto", "head:6379", ("auto", "--address")),
    ],
)
def test_an_empty_address_and_local_start_ray_here_as_they_do_in_ray(monkeypatch, option, variable, named):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if variable is not None:
        monkeypatch.setenv("RAY_ADDRESS", variable)
    assert cluster.named_cluster(option) == named


@pytest.mark.parametrize("address", ["http://127.0.0.1:8265", "127.0.0.1:1"])
def test_what_named_a_cluster_that_is_none_is_told_also_where_nothing_is_missing(monkeypatch, address):
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(AmcError, match=rf"^RAY_ADDRESS '{address}' .*give host:port"):
        require_options(None, None, None)
    with pytest.raises(AmcError, match=rf"^--address '{address}' "):
        require_options(address, None, None)


def test_gpus_that_are_not_here_and_curves_of_no_kind_are_refused_before_anything_is_planned(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(AmcError, match="--gpus-per-trial asks for 99 GPUs, but this machine has"):
        require_options(None, 99, None)
    with pytest.raises(AmcError, match=r"^--gpus-per-trial 1\.5 is not allowed: give a fraction of one GPU"):
        require_options(None, 1.5, None)
    with pytest.raises(AmcError, match="--log 'tensorbord' is not known; did you mean 'tensorboard'"):
        require_options(None, None, "tensorbord")
    require_options("local", 0, None)


@pytest.mark.skipif(not shutil.which("unshare"), reason="unshare makes a user that no list of users has")
def test_ray_can_be_imported_by_a_user_without_a_home():
    program = (
        "from sweeps.engine.cluster import environment\nwith environment():\n    import ray.tune\nprint('imported')"
    )
    of_nobody = ["unshare", "--user", "--map-user=54321", "env", "-u", "HOME", sys.executable, "-c"]
    if subprocess.run([*of_nobody, ""], capture_output=True).returncode:
        pytest.skip("this machine does not let users be made")
    answer = subprocess.run([*of_nobody, program], capture_output=True, text=True, cwd=ROOT)
    assert answer.stdout == "imported\n", answer.stderr


def test_a_machine_that_does_not_reach_itself_is_told_so_at_once(monkeypatch):
    def unreachable(*arguments, **more):
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", unreachable)
    with pytest.raises(AmcError, match=r"127\.0\.0\.1 \(Network is unreachable\): bring up its loopback"):
        with cluster.connected(None, "RAY_ADDRESS", None):
            pass


def test_a_start_that_takes_too_long_is_ended_though_ray_tries_again_after_every_exception():
    before, began = signal.getsignal(signal.SIGALRM), time.monotonic()
    with pytest.raises(cluster._TooSlow):
        with cluster._at_most(0.2):
            while True:
                try:
                    time.sleep(5)
                except Exception:
                    pass
    assert time.monotonic() - began < 4 and signal.getsignal(signal.SIGALRM) is before


# -- a study while it runs ---------------------------------------------------------------------------------

ASK = """
import sys
from ray._raylet import Config, GcsClient
Config.initialize("")
GcsClient(address=sys.argv[1]).internal_kv_keys(b"", namespace=None)
"""


def listening(processes: list[psutil.Process]) -> dict[str, list]:
    """Name of process → the addresses that it listens at."""
    found = {}
    for process in processes:
        try:
            sockets = [entry.laddr for entry in process.net_connections("inet") if entry.status == psutil.CONN_LISTEN]
            if sockets:
                found.setdefault(process.name(), []).extend(sockets)
        except psutil.NoSuchProcess:
            pass
    return found


def test_a_study_listens_on_loopback_alone_asks_for_its_token_and_leaves_nothing(temporary, study_file, tmp_path):
    home, long = tmp_path / "no home", temporary / ("x" * 60)
    long.mkdir()
    environment = os.environ | {"HOME": str(home), "TMPDIR": str(long), "RAY_ADDRESS": "", "PYTHONIOENCODING": "ascii"}
    study = study_file(models="mod_lcnn", recipe="{epochs: 300, batch_size: 8}", train="{}", test="{}")
    command = [sys.executable, "-m", "sweeps", "run", study, "--store", str(tmp_path / "store")]
    driver = subprocess.Popen(command, text=True, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 300
    found = {}
    while not any(name.startswith("ray::") for name in found):
        assert driver.poll() is None and time.monotonic() < deadline, driver.communicate()
        time.sleep(0.2)
        found = listening(tree(driver.pid))
    assert {"gcs_server", "raylet"} <= set(found)
    addresses = {address.ip for entries in found.values() for address in entries}
    assert addresses <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}, found

    port = min(address.port for address in found["gcs_server"])
    asking = [sys.executable, "-c", ASK, f"127.0.0.1:{port}"]
    for tokens in ({"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}):
        answer = subprocess.run(asking, env=os.environ | tokens, capture_output=True, text=True, timeout=300)
        assert answer.returncode and "nauthenticated" in answer.stderr, answer.stderr
    [folder] = map(Path, set(re.findall(r"/\S*/\.amc-\w+", " ".join(server(driver.pid).cmdline()))))
    assert folder.parent == Path("/tmp") and folder.stat().st_mode & 0o777 == 0o700
    for path in (folder, Path("/proc", str(server(driver.pid).pid), "environ")):  # whose token it has
        assert path.stat().st_uid == os.getuid() and not path.stat().st_mode & 0o077
        if os.getuid() == 0:  # who can be another user
            other = subprocess.run(["cat", path], user=65534, capture_output=True, text=True)
            assert other.stderr.endswith("Permission denied\n")

    output, errors = driver.communicate(timeout=300)
    assert driver.returncode == 0, errors
    assert "is complete: 1 run, 1 cell" in output and "? = 0.35" in output  # α, which ASCII lacks
    assert not folder.exists() and not home.exists() and not [*long.glob(".amc*"), *long.glob("ray*")]


def tree(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def server(pid: int) -> psutil.Process:
    return next(process for process in tree(pid) if process.name() == "gcs_server")
