"""The signal handlers of the command `amc`. This module imports nothing slow, since signals may come at any time."""

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_UNHEARD_SECONDS = 5  # that Ctrl-C waits for the main thread, which may be in a call that never returns
_interrupted = _warned = _stuck = False
_handled = 0  # calls of `interrupt`
_listening = False


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM. Not a KeyboardInterrupt, since Typer would exit on one without a message."""


def on_interruption(handler: Callable) -> None:
    """Handle Ctrl-C and SIGTERM alike, and note SIGUSR1. A Ctrl-C that is not handled within 5 s ends the process."""
    global _listening
    if not _listening:
        _listening = True
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        threading.Thread(target=_listen, args=(reading,), name="Ctrl-C", daemon=True).start()
        sys.unraisablehook = functools.partial(_not_lost, sys.unraisablehook)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)
    signal.signal(signal.SIGUSR1, _warn)


def interrupt(number, frame) -> None:
    """Handle SIGINT, and SIGTERM except the first one during a launch."""
    global _interrupted, _handled
    _interrupted, _handled = True, _handled + 1
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):  # importlib may swallow an exception
            leave()
        frame = frame.f_back
    raise Interrupted


def _listen(reading: int) -> None:
    """End the process if Ctrl-C is not handled: Python waits for the main thread's call, and Ray's may never return."""
    while True:
        before, signals = _handled, os.read(reading, 1)
        if signals[0] == signal.SIGINT:
            threading.Event().wait(_UNHEARD_SECONDS)
            if _handled == before:
                leave()


def _not_lost(others: Callable, unraisable) -> None:
    """End the process if Python swallows an interruption, as it does in callbacks around a fork, with locks held."""
    if isinstance(unraisable.exc_value, Interrupted):
        leave()
    others(unraisable)


def interrupted() -> bool:
    """Has `interrupt` been called?"""
    return _interrupted


@contextmanager
def until_interrupted() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end what is done within, and not the command."""
    global _interrupted
    try:
        yield
    except Interrupted:
        _interrupted = False


def warned() -> bool:
    """Has a signal announced that the process is to end soon?"""
    return _warned


@contextmanager
def heeding_warnings() -> Iterator[None]:
    """Only note the first SIGTERM, unless SIGUSR1 came before; a further one interrupts."""
    signal.signal(signal.SIGTERM, _warn)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, interrupt)


def _warn(number, frame) -> None:
    global _warned
    before, _warned = _warned, True
    if before and number == signal.SIGTERM:
        interrupt(number, frame)


def end_at_once() -> None:
    """Let the process end without the interpreter's own end, in which Ray's library would wait for what is gone."""
    global _stuck
    _stuck = True


def leave_with(code: int) -> None:
    """End the process, as soon as it can."""
    if _stuck:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


def leave() -> None:
    """End the process at once, with a sentence."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)
    elif sys.stdout.isatty():
        os.write(1, b"\033[?25h")  # the cursor, which a display of progress may have hidden
    try:
        print("\nInterrupted. Finished work is in the store. The same command goes on from there.", file=sys.stderr)
        sys.stderr.flush()
    finally:
        os._exit(130)  # Ray's threads may still be starting, and would not end well
