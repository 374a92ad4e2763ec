"""Tune's loop, watched: if Ray's head is gone or hangs, it ends with an AmcError; Ctrl-C always reaches it.

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

_LOOK_SECONDS = 1  # between looks at the head
_GONE, _SILENT = 3, 60  # looks in a row at which no head listens, or none answers, until it is given up
_ABANDONED_SECONDS = 3  # that a loop, or Ray, has to end after an interruption or error
_SHUTDOWN_SECONDS = 10  # that Ray has to end by itself after a launch that was not interrupted


def watched(loop: Callable[[], object], address: str) -> None:
    """Run `loop`, which talks to the Ray head at host:port, in a thread of its own, and wait for its end.

    Ray waits a minute for a head that is gone and for ever for one that hangs, and no signal interrupts it; this
    thread does not wait. Raises what the loop raises, and AmcError if the head is gone or does not answer.
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
        ended.wait(_ABANDONED_SECONDS)
        raise
    if raised:
        raise raised[0]


def shut_down() -> None:
    """Disconnect from Ray and end the Ray that this process has started, by force if its head does not answer.

    While an exception is being raised, the wait is shorter, so that the user sees it soon.
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
        for process in descendants:  # some would look for the head for a minute
            with suppress(psutil.NoSuchProcess):
                process.kill()
        thread.join(_ABANDONED_SECONDS)
    if thread.is_alive():
        atexit.unregister(worker.shutdown)  # it would wait as well


def _answers(connection) -> bool:
    """Does the head of a connection answer within seconds?"""
    with suppress(TimeoutError):
        return _ask(connection).result(_ABANDONED_SECONDS)
    return False


def _ask(connection) -> Future[bool]:
    """Whether the head of a connection answers a request; asked in a thread, since it may hang."""
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
        if time.monotonic() - looked <= _LOOK_SECONDS:
            continue
        looked, gone = time.monotonic(), 0 if _listens(address) else gone + 1
        silent = 0 if answer.done() and answer.result() else silent + 1
        if answer.done():
            answer = _ask(worker.global_worker)
        if gone == _GONE or silent == _SILENT:
            state = "is gone" if gone == _GONE else f"has not answered for {_SILENT * _LOOK_SECONDS} s"
            raise AmcError(f"Ray's head at {address} {state}: run the same command again to go on")


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
