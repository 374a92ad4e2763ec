"""Tune's loop, watched: it ends in a sentence when Ray's head is gone or hangs, and Ctrl-C always reaches it.

Ray's own end is watched as well, since it waits for a head that hangs.
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

_LOOK_SECONDS = 1  # between looks at the head
_GONE, _SILENT = 3, 60  # after how many in a row at which nobody listens, or nobody has answered, it is given up
_ABANDONED_SECONDS = 3  # that a loop, or Ray, is given to end when it is not waited for any more
_SHUTDOWN_SECONDS = 10  # that Ray is given to end by itself after a launch that was not interrupted


def watched(loop: Callable[[], object], address: str) -> None:
    """Run `loop`, which talks to the Ray head at host:port, in a thread of its own, and wait for its end.

    Ray waits for a head that is gone in a way that no signal interrupts, for a minute, and for one that hangs without
    end; this thread does not. Raises what the loop raises, and AmcError where the head is gone or does not answer.
    """
    raised: list[BaseException] = []
    ended = threading.Event()

    def run() -> None:
        try:
            loop()
        except BaseException as error:  # which is raised below, or comes after an interruption and is of no interest
            raised.append(error)
        finally:
            ended.set()

    thread = threading.Thread(target=run, name="tune", daemon=True)
    thread.start()
    try:
        _await(ended, address)
    except BaseException:
        _abandon(thread)
        ended.wait(_ABANDONED_SECONDS)
        raise
    if raised:
        raise raised[0]


def shut_down() -> None:
    """Disconnect from Ray, and end the Ray that this process has started; by force if its head does not answer.

    It is waited for less long while an exception is on its way, of which the user is to know.
    """
    from ray._private import worker

    if _answers(worker.global_worker):
        worker.shutdown()
        return
    node = worker._global_node
    thread = threading.Thread(target=worker.shutdown, name="end of Ray", daemon=True)
    thread.start()
    thread.join(_ABANDONED_SECONDS if sys.exc_info()[0] else _SHUTDOWN_SECONDS)
    if thread.is_alive() and node is not None:
        descendants = _descendants([info.process.pid for infos in node.all_processes.values() for info in infos])
        node.kill_all_processes(check_alive=False, allow_graceful=False)
        for process in descendants:  # some of which would look for the head for a minute
            with suppress(psutil.NoSuchProcess):
                process.kill()
        thread.join(_ABANDONED_SECONDS)
    if thread.is_alive():
        atexit.unregister(worker.shutdown)  # which would wait as this one does


def _answers(connection) -> bool:
    """Does the head of a connection say anything within seconds?"""
    with suppress(TimeoutError):
        return _ask(connection).result(_ABANDONED_SECONDS)
    return False


def _ask(connection) -> Future[bool]:
    """Ask the head of a connection for something, in a thread, since it may hang: does it answer?"""
    answer = Future()

    def ask() -> None:
        try:
            connection.gcs_client.internal_kv_exists(b"amc", None)
            answer.set_result(True)
        except Exception:
            answer.set_result(False)

    threading.Thread(target=ask, name="is the head there", daemon=True).start()
    return answer


def _descendants(pids: list[int]) -> list[psutil.Process]:
    found = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            found += psutil.Process(pid).children(recursive=True)
    return found


def _await(ended: threading.Event, address: str) -> None:
    """Wait for the end of the loop, and look at the head meanwhile.

    Looks are counted instead of seconds, which pass for a process that is stopped for a while, too.
    """
    from ray._private import worker

    looked, gone, silent, answer = time.monotonic(), 0, 0, _ask(worker.global_worker)
    while not ended.wait(0.1):
        if time.monotonic() - looked <= _LOOK_SECONDS:
            continue
        looked, gone = time.monotonic(), 0 if _listens(address) else gone + 1
        silent = 0 if answer.done() and answer.result() else silent + 1
        if answer.done():
            answer = _ask(worker.global_worker)
        if gone == _GONE or silent == _SILENT:
            state = "is gone" if gone == _GONE else f"has not answered for {_SILENT * _LOOK_SECONDS} s"
            raise AmcError(f"Ray's head at {address} {state}; the same command goes on from the store")


class _Abandoned(BaseException):
    """Not an Exception, which the loop might take for a trial's."""


def _abandon(thread: threading.Thread) -> None:
    """End a thread as soon as it is back from what it waits for, which may be gone: of that it says nothing."""
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
