"""Ray, on which trials run: one of our own on this machine, or a cluster that is there."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

from amc_core.errors import AmcError

_EVERYWHERE = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a trial without a GPU sees none
    "MALLOC_ARENA_MAX": "1",  # Tune runs trials in a thread, whose own heap is too small for `keep_freed_memory`
}
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    **_EVERYWHERE,
    "RAY_memory_monitor_refresh_ms": "0",  # what it ends may bring down the driver; what the kernel ends is tried again
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is ours: everything finished is already in the store
    "RAY_AIR_NEW_OUTPUT": "0",  # the old output heeds verbose=0
    "TUNE_MAX_PENDING_TRIALS_PG": "16",  # asked of the feed ahead of free resources
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
_OBJECT_STORE_BYTES = 256 << 20  # trials exchange no data through Ray


@contextmanager
def connected(address: str | None):
    """A connection to the cluster at `address`, or a Ray of our own that ends with us."""
    if address not in (None, "auto"):
        _require_cluster(address)
    import ray

    if ray.is_initialized():
        raise AmcError("Ray is connected in this process already: call ray.shutdown() first, or run in another process")
    if address is None:  # by default Ray would join whatever cluster it finds on this machine
        settings = {"address": "local", "include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
    else:
        settings = {"address": address, "runtime_env": {"env_vars": _EVERYWHERE}}
    try:
        try:
            ray.init(**settings, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # Ray raises bare ones, too
            reason = (str(error).strip() or repr(error)).splitlines()[0]
            if address is None:
                raise AmcError(f"Ray does not start on this machine ({reason}); the same command tries again") from None
            told = f"--address {address!r} cannot be reached ({reason})"
            raise AmcError(f"{told}: give host:port of a running Ray head") from None
        yield
    finally:
        ray.shutdown()


def _require_cluster(address: str) -> None:
    """Raise AmcError unless a Ray cluster answers at host:port."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdigit() or not 0 < int(port) < 65536:
        raise AmcError(f"--address {address[:80]!r} is not the address of a Ray cluster: give host:port or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
        # ray.init itself would try for minutes, so a process that can be given up on tries first.
        attempt = "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False)"
        answer = subprocess.run([sys.executable, "-c", attempt, address], capture_output=True, text=True, timeout=30)
        if answer.returncode == 0:
            return
        reason = answer.stderr.strip().splitlines()[-1] + "; a cluster with tokens needs RAY_AUTH_MODE=token"
    except subprocess.TimeoutExpired:
        reason = "what listens there does not answer as a Ray head"
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
    raise AmcError(f"--address {address!r} cannot be reached ({reason}): give host:port of a running Ray head")


@contextmanager
def environment():
    """The environment that Ray is to find, while it runs."""
    before = dict(os.environ)
    os.environ.update(ENVIRONMENT)
    try:
        yield
    finally:
        for name in ENVIRONMENT:
            os.environ.pop(name)
            os.environ.update({name: before[name]} if name in before else {})


@contextmanager
def own_sigterm():
    """Yields what puts back the handler of SIGTERM that was there before Ray's own, which is done at the end as well.

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
