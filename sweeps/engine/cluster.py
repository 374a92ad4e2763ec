"""The Ray on which trials run: our own on this machine, or an existing cluster."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from amc_core.errors import AmcError
from sweeps.engine.granted import granted_cores, granted_memory
from sweeps.engine.watch import shut_down

_EVERYWHERE = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a trial without a GPU sees none
    "MALLOC_ARENA_MAX": "1",  # Tune runs trials in a thread, whose own heap is too small for `keep_freed_memory`
}
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    **_EVERYWHERE,
    "RAY_memory_monitor_refresh_ms": "0",  # it may end the driver; workers that the kernel ends are tried again
    "RAY_gcs_rpc_server_reconnect_timeout_s": "300",  # a busy machine may delay it for minutes
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # we handle Ctrl-C: everything finished is already in the store
    "RAY_AIR_NEW_OUTPUT": "0",  # the old output respects verbose=0
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # between checkpoints of its own state, which is never restored
    "TUNE_MAX_PENDING_TRIALS_PG": "16",  # trials that Tune takes from the feed ahead of free resources
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
_TOKEN = (
    "a cluster with tokens needs 'export RAY_AUTH_MODE=token', "
    "and the head's token in ~/.ray/auth_token or in RAY_AUTH_TOKEN"
)
_LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"  # 0: Ray uses 127.0.0.1 for this machine, and listens only there
_OBJECT_STORE_BYTES, _LEAST_OBJECT_STORE_BYTES = 256 << 20, 80 << 20  # trials exchange no data through Ray
_START_SECONDS = 300  # that Ray may take to start; a busy machine needs a minute


def named_cluster(address: str | None) -> tuple[str | None, str]:
    """The cluster on which trials run, host:port or "auto", None for our own Ray; and the name of the setting.

    address: the option; if it is None, RAY_ADDRESS counts, as in Ray. There, "" and "local" mean our own Ray.
    """
    named_by = "--address" if address is not None else "RAY_ADDRESS"
    if address is None:
        address = os.environ.get("RAY_ADDRESS") or "local"
    return (None if address == "local" else address), named_by


def require_listener(address: str, named_by: str) -> None:
    """Raise AmcError unless something listens at host:port."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise AmcError(
            f"{named_by} {address[:80]!r} is not the address of a Ray cluster: "
            "give host:port, auto, or local for a Ray on this machine"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except (OSError, UnicodeError) as error:
        raise _unreachable(address, named_by, getattr(error, "strerror", None) or str(error)) from None


@contextmanager
def connected(address: str | None, named_by: str, folder: Path | None) -> Iterator[None]:
    """A connection to the cluster at `address`, or our own Ray, which ends with us and keeps its files in `folder`.

    Our own Ray listens on loopback only, and requires a token that only we know.
    """
    if address is None:
        _require_loopback()
    mode = _require_cluster(address, named_by) if address not in (None, "auto") else ""
    with _private() if address is None else _authenticated(mode):
        import ray

        if ray.is_initialized():
            raise AmcError(
                "Ray is connected in this process already: call ray.shutdown() first, or run in another process"
            )
        if address is None:  # by default, Ray would join any cluster on this machine
            settings = {"address": "local", "include_dashboard": False, "num_cpus": granted_cores()}
            objects = max(_LEAST_OBJECT_STORE_BYTES, min(_OBJECT_STORE_BYTES, granted_memory() // 8))
            settings |= {"object_store_memory": objects, "_memory": max(granted_memory() - objects, objects)}
            settings["_temp_dir"] = str(folder / "ray")  # Ray opens it to all users, but not `folder`
        else:
            settings = {"address": address, "runtime_env": {"env_vars": _EVERYWHERE}}
        try:
            try:
                with _at_most(_START_SECONDS):
                    ray.init(**settings, log_to_driver=False, logging_level=logging.ERROR)
            except _TooSlow:
                where = "on this machine" if address is None else f"at {named_by} {address!r}"
                raise AmcError(
                    f"Ray has not started {where} in {_START_SECONDS} s; the same command tries again"
                ) from None
            except Exception as error:  # Ray raises plain Exceptions, too
                reason = (str(error).strip() or repr(error)).splitlines()[0]
                if address is None:
                    again = "; the same command tries again" if "timed out" in reason else ""
                    raise AmcError(f"Ray does not start on this machine ({reason}){again}") from None
                raise _unreachable(address, named_by, reason) from None
            yield
        finally:
            shut_down()


def _unreachable(address: str, named_by: str, reason: str) -> AmcError:
    return AmcError(f"{named_by} {address!r} cannot be reached ({reason}): give host:port of a running Ray head")


# If a head on this machine requires a token, it gets the one that Ray keeps for this user; Ray itself does this only
# for "auto". A head elsewhere gets it only if RAY_AUTH_MODE says so, since the owner of a token may run code.
_MEET = """if True:
    import os, sys, ray
    from ray._raylet import Config, GcsClient
    from ray.exceptions import AuthenticationError

    if sys.argv[2] == "here" and "RAY_AUTH_MODE" not in os.environ:
        try:
            GcsClient(address=sys.argv[1]).internal_kv_get(b"amc", None, timeout=5)
        except AuthenticationError:
            os.environ["RAY_AUTH_MODE"] = "token"
            Config.initialize("")
    ray.init(address=sys.argv[1], log_to_driver=False)
    print(os.environ.get("RAY_AUTH_MODE", ""))
"""


def _require_cluster(address: str, named_by: str) -> str:
    """The RAY_AUTH_MODE by which a Ray cluster answers at host:port, "" for the default. Raises AmcError without one.

    ray.init itself would try for minutes, so a process that can be ended tries first.
    """
    require_listener(address, named_by)
    command = [sys.executable, "-c", _MEET, address, "here" if _is_here(address) else "elsewhere"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except subprocess.TimeoutExpired:
        raise _unreachable(address, named_by, "no Ray head answers there") from None
    if answer.returncode:
        reason = (answer.stderr.strip() or "no reason given").splitlines()[-1]
        raise _unreachable(address, named_by, f"{reason}; {_TOKEN}")
    return answer.stdout.split("\n")[-2]


@contextmanager
def _authenticated(mode: str) -> Iterator[None]:
    """Let Ray's clients use this user's token, or none, as `_require_cluster` has determined."""
    from ray._raylet import Config

    try:
        with environment({"RAY_AUTH_MODE": mode} if mode else {}):
            Config.initialize("")  # Ray may have been imported, and have read the environment, before
            yield
    finally:
        Config.initialize("")


def _is_here(address: str) -> bool:
    """Is host:port an address of this machine?"""
    host = address.rpartition(":")[0].strip("[]")
    try:
        family, kind, protocol, _, (ip, *_) = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind((ip, 0))  # only an address of this machine can be bound
    except OSError:
        return False
    return True


def _require_loopback() -> None:
    """Raise AmcError unless this machine reaches itself; otherwise Ray would try for ever."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=5).close()
    except OSError as error:
        raise AmcError(
            f"Ray cannot start, since this machine does not reach itself at 127.0.0.1 ({error.strerror or error}): "
            "bring up its loopback interface, for example with 'ip link set lo up'"
        ) from None


@contextmanager
def _private() -> Iterator[None]:
    """Let a Ray that starts listen on loopback only, and require a token that is in no file."""
    settings = {_LOOPBACK: "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    with environment(settings):
        from ray._private import ray_constants
        from ray._raylet import AuthenticationTokenLoader, Config

        clusters = ray_constants.ENABLE_RAY_CLUSTER  # read from the environment when Ray was imported
        ray_constants.ENABLE_RAY_CLUSTER = False
        Config.initialize("")
        AuthenticationTokenLoader.instance().reset_cache()
        try:
            yield
        finally:
            ray_constants.ENABLE_RAY_CLUSTER = clusters
            AuthenticationTokenLoader.instance().reset_cache()
    Config.initialize("")


@contextmanager
def environment(settings: dict[str, str] = ENVIRONMENT) -> Iterator[None]:
    """The environment of Ray while it runs; a user without a home directory gets one, which Ray needs."""
    before = dict(os.environ)
    try:
        Path.home()
    except RuntimeError:
        settings = settings | {"HOME": tempfile.gettempdir()}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name in settings:
            os.environ.pop(name, None)
            os.environ.update({name: before[name]} if name in before else {})


class _TooSlow(BaseException):
    """A BaseException, since Ray tries again after an Exception."""


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raise _TooSlow in a block that takes longer, if this is the main thread; only it gets signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number, frame):
        raise _TooSlow

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@contextmanager
def own_sigterm():
    """Yields a function that restores the handler of SIGTERM that Ray replaces; it is called at the end as well.

    Only a process's main thread can set handlers, and Ray sets its own only there.
    """
    handler = signal.getsignal(signal.SIGTERM)

    def put_back() -> None:
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)

    try:
        yield put_back
    finally:
        put_back()
