"""A trial's signs of life: its progress, written beside the results of its run, for other processes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from types import TracebackType

from amc_core.errors import AmcError
from amc_core.run import Run
from sweeps.engine.ending import Left
from sweeps.store import Store
from sweeps.store.begun import Begun, is_alive, read_begun, record_of, save_begun

_BEAT_SECONDS = 15  # between signs of life, at most
_WRITE_SECONDS = 2  # between them, at least; and before the first


class SignOfLife:
    """Writes the progress of a run's trial at intervals and after epochs. Use as a context.

    A trial that ends before its first sign writes none, since writing would take longer than the trial. A trial that
    has done its work removes it, and one that leaves the run to another process lets that one's stand. If the store
    cannot be written, the run goes on without signs of life.
    """

    def __init__(self, run: Run, store: Store):
        self.folder = store.run(run.key)
        known = read_begun(self.folder)
        self.begun = Begun(record_of(run), known.rows if known else (), host=socket.gethostname())
        self.lock = threading.Lock()

    def __enter__(self) -> SignOfLife:
        self.earliest = self.latest = time.monotonic() + _WRITE_SECONDS
        _ALIVE.add(self)
        _start_beating()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _ALIVE.discard(self)
        with self.lock, suppress(AmcError, OSError):
            if kind is None:
                self.folder.delete(["progress.json"])
            elif kind is not Left:
                save_begun(self.folder, replace(self.begun, seen=None))

    def step(self, progress: dict) -> None:
        """Take over the progress that `trial.compute` yields."""
        rows, row = self.begun.rows, progress.get("curves")
        if row is not None:
            rows = (*(earlier for earlier in rows if earlier["epoch"] < row["epoch"]), row)
        self.begun = replace(self.begun, rows=rows, cells=progress["cells"])
        if time.monotonic() > self.earliest:
            self.write()

    def write(self) -> None:
        """Give a sign of life now."""
        with self.lock, suppress(AmcError, OSError):
            if self in _ALIVE:
                now = time.monotonic()
                self.earliest, self.latest = now + _WRITE_SECONDS, now + _BEAT_SECONDS
                save_begun(self.folder, replace(self.begun, seen=datetime.now(UTC)))


def first_free(runs: Iterable[Run], store: Store) -> Run | None:
    """The first run without signs of life, else the first one; None if there are no runs."""
    taken = None
    for run in runs:
        if not is_alive(store.run(run.key)):
            return run
        taken = taken or run
    return taken


_ALIVE: set[SignOfLife] = set()  # of the trials in this process


@cache
def _start_beating() -> None:
    """Start one thread for all trials of a process: many trials are shorter than the start of a thread."""
    threading.Thread(target=_beat, name="sign of life", daemon=True).start()


def _beat() -> None:
    while True:
        time.sleep(1)
        for life in tuple(_ALIVE):
            if time.monotonic() > life.latest:
                life.write()
