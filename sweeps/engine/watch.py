"""Tune's loop, watched: if Ray's head or its node here is gone, it ends with an AmcError; Ctrl-C always reaches it.

Ray's shutdown is watched as well, since it waits for a head that hangs.
"""

from __future__ import annotations

import atexit
import ctypes
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress

import psutil

from amc_core.errors import AmcError
from sweeps.signals import end_at_once

_LOOK_SECONDS = 1  # between looks at the head
_GONE, _SILENT = 3, 60  # looks in a row at which no head listens, or none answers, until it is given up
ALIVE, DEAD, SILENT = "alive", "dead", "silent"  # what the head says of this machine's node, if anything
_ABANDONED_SECONDS = 3  # that a loop, or Ray, has to end after an interruption or error
_SHUTDOWN_SECONDS = 10  # that Ray has to end by itself after a launch that was not interrupted
_GOES_ON = "the same command goes on from the store"


def watched(loop: Callable[[], object], address: str) -> None:
    """Run `loop`, which talks to the Ray head at host:port, in a thread of its own, and wait for its end.

    Ray waits a minute for a head that is gone and for ever for one that hangs, and no signal interrupts it; this
    thread does not wait. Tune waits for another node if that of this machine has died, as it does when one of its
    agents is killed. Raises what the loop raises, and AmcError if the head or the node is gone, or the head does not
    answer.
    """
    raised: list[BaseException] = []
    ended = threading.Event()

    def run() -> None:
        try:
            loop()
        except BaseException as error:  # raised below; after an interruption it is ignored
            raised.append(error)
        finally:
            ended.set()

    thread = threading.Thread(target=run, name="tune", daemon=True)
    thread.start()
    try:
        _await(ended, address)
    except BaseException:
        _abandon(thread)
        if not _raylet_has_ended():  # else the loop may find that out, upon which Ray ends this process without a word
            ended.wait(_ABANDONED_SECONDS)
        raise
    if raised:
        raise raised[0]


def shut_down() -> None:
    """Disconnect from Ray and end the Ray that this process has started, by force if its head or node is gone.

    While an exception is being raised, the wait for a head is shorter, so that the user sees it soon.
    """
    from ray._private import worker
    from ray.experimental.internal_kv import _internal_kv_reset

    state, node = _state(worker.global_worker), worker._global_node
    if state == ALIVE:
        worker.shutdown()
        return
    thread = threading.Thread(target=worker.shutdown, name="end of Ray", daemon=True)
    if state == SILENT:  # if the node is dead, Ray would end this process without a word
        thread.start()
        thread.join(_ABANDONED_SECONDS if sys.exc_info()[0] else _SHUTDOWN_SECONDS)
    if (state == DEAD or thread.is_alive()) and node is not None:
        descendants = _descendants([info.process.pid for infos in node.all_processes.values() for info in infos])
        node.kill_all_processes(check_alive=False, allow_graceful=False)
        for process in descendants:  # some would look for the head for a minute
            with suppress(psutil.NoSuchProcess):
                process.kill()
    if thread.is_alive():
        thread.join(_ABANDONED_SECONDS)
    if state == DEAD or thread.is_alive():
        atexit.unregister(worker.shutdown)  # which would wait, or end the process, as this one does
        _internal_kv_reset()  # else Tune asks the head to forget its functions
        end_at_once()


def _state(connection) -> str:
    """The state of the node of this machine: `ALIVE`, `DEAD` or, if its head does not say within seconds, `SILENT`."""
    with suppress(TimeoutError):
        return DEAD if _raylet_has_ended() else _ask(connection).result(_ABANDONED_SECONDS)
    return SILENT


def _raylet_has_ended() -> bool:
    """Has the raylet of a Ray of our own ended? Its head takes seconds to notice."""
    from ray._private import worker

    node = worker._global_node
    return node is not None and "raylet" in (kind for kind, _ in node.dead_processes())


def _ask(connection) -> Future[str]:
    """Ask the head of a connection, in a thread, since it may hang, whether this machine's node is alive."""
    answer = Future()

    def ask() -> None:
        state = SILENT
        with suppress(Exception):
            connection.gcs_client.internal_kv_exists(b"amc", None)
            state = ALIVE
            if not all(connection.gcs_client.check_alive([connection.current_node_id], timeout=_LOOK_SECONDS)):
                state = DEAD
        answer.set_result(state)

    threading.Thread(target=ask, name="is the head there", daemon=True).start()
    return answer


def _descendants(pids: list[int]) -> list[psutil.Process]:
    processes = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            processes += psutil.Process(pid).children(recursive=True)
    return processes


def _await(ended: threading.Event, address: str) -> None:
    """Wait for the end of the loop, and look at the head meanwhile.

    It counts looks instead of seconds, which also pass while this process is suspended.
    """
    from ray._private import worker

    looked, gone, silent, answer = time.monotonic(), 0, 0, _ask(worker.global_worker)
    while not ended.wait(0.1):
        if _raylet_has_ended():
            raise AmcError(f"Ray has ended on this machine: {_GOES_ON}")
        if time.monotonic() - looked <= _LOOK_SECONDS:
            continue
        looked, gone = time.monotonic(), 0 if _listens(address) else gone + 1
        state = answer.result() if answer.done() else SILENT
        silent = silent + 1 if state == SILENT else 0
        if answer.done():
            answer = _ask(worker.global_worker)
        if state == DEAD:
            raise AmcError(f"Ray's node on this machine is dead, says its head at {address}: {_GOES_ON}")
        if gone == _GONE or silent == _SILENT:
            why = "is gone" if gone == _GONE else f"has not answered for {_SILENT * _LOOK_SECONDS} s"
            raise AmcError(f"Ray's head at {address} {why}: {_GOES_ON}")


class _Abandoned(BaseException):
    """Not an Exception: the loop might take one for a trial's."""


def _abandon(thread: threading.Thread) -> None:
    """End a thread when its current call returns, and silence Ray's loggers, which would report the lost head."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(_Abandoned))
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("ray")]:
        logging.getLogger(name).disabled = True


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_LOOK_SECONDS).close()
    except OSError:
        return False
    return True
