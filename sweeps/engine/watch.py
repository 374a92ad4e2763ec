"""Tune's loop, watched: it ends in a sentence when Ray's head is gone, and Ctrl-C always reaches it."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable

from amc_core.errors import AmcError

_LOOK_SECONDS, _LOOKS = 1, 3  # between looks at the head; how many in a row must fail


def watched(loop: Callable[[], object], address: str) -> None:
    """Run `loop`, which talks to the Ray head at host:port, in a thread of its own, and wait for its end.

    Ray waits for a head that is gone in a way that no signal interrupts, for a minute; this thread does not. Raises
    what the loop raises, and AmcError where the head is gone.
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

    threading.Thread(target=run, name="tune", daemon=True).start()
    try:
        _await(ended, address)
    except BaseException:
        _silence()
        raise
    if raised:
        raise raised[0]


def _await(ended: threading.Event, address: str) -> None:
    looked, failed = time.monotonic(), 0
    while not ended.wait(0.1):
        if time.monotonic() - looked > _LOOK_SECONDS:
            looked, failed = time.monotonic(), 0 if _listens(address) else failed + 1
            if failed == _LOOKS:
                raise AmcError(f"Ray's head at {address} is gone; the same command goes on from the store")


def _silence() -> None:
    """Let the loop, whose Ray is about to be taken from it, not complain of that."""
    for handler in logging.getLogger("ray").handlers:
        handler.setLevel(logging.CRITICAL + 1)


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_LOOK_SECONDS).close()
    except OSError:
        return False
    return True
