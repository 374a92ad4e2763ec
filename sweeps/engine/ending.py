"""The early end of a launch: by its time limit, or as soon as it is asked to; and how its trials learn of it.

A run that it stops is no failure: a checkpoint of it is in the store, and the next launch goes on from there.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache

from amc_core.quantities import duration
from sweeps.planning import RunPlan, run_seconds
from sweeps.store import Store
from sweeps.store.begun import read_begun

_MARGIN_SECONDS, _MARGIN = 60, 0.1  # before the limit, in which trials write and Ray ends: at most, and of the limit
_REFRESH_SECONDS = 60  # between looks at how long runs have taken
_LOOK_SECONDS = 0.5  # between looks of a worker for the end
_NAMESPACE = "amc"  # of the keys in the memory of Ray's head


class Cut(Exception):
    """A run stops before it is complete, since its launch ends; what it has come to is in the store."""


class Ending:
    """When a launch ends before all is done, and which runs may still start. Its time begins here.

    limit: in seconds, None without one. asked: whether it is to end at once, as a signal may say.
    """

    def __init__(self, limit: float | None = None, asked: Callable[[], bool] = lambda: False):
        self.limit, self.asked = limit, asked
        self.ends = time.monotonic() + limit if limit else math.inf
        self.stops = self.ends - min(_MARGIN_SECONDS, _MARGIN * limit) if limit else math.inf
        self.notice: Callable[[str], None] = lambda line: None
        self.announced = False  # has it been said that the end is due?
        self.stopped = False  # are there no trials any more?
        self.withheld = False  # has a run not been started, since it could not end in time?
        self.shipped = False  # do rates of CPUs tell how long runs take that the store has not timed?
        self.whole: float | None = None  # seconds that were left at `begin`
        self.store: Store | None = None
        self.plans: dict[str, RunPlan] = {}
        self.seconds: dict[str, float | None] = {}  # run key → how long it takes, as far as that was asked
        self.speeds, self.last_look = {}, -math.inf

    def due(self) -> bool:
        """Is it time for the trials to stop? The first time that it is, say so."""
        by_time = time.monotonic() >= self.stops
        due = by_time or self.asked()
        if due and not self.announced:
            self.announced = True
            why = f"The time limit of {duration(self.limit)} is near" if by_time else "Asked to end"
            self.notice(f"{why}: what is under way stops, with its state in the store. Ctrl-C does not wait for that.")
        return due

    @property
    def over(self) -> bool:
        """Is the time limit reached, so that nobody is waited for any more?"""
        return time.monotonic() >= self.ends

    @property
    def early(self) -> bool:
        """Has the launch left out what it could have computed?"""
        return self.announced or self.withheld

    def begin(self, shipped: bool) -> None:
        """Trials can start from now on. shipped: go by rates of CPUs where the store has not timed a classifier."""
        self.shipped, self.whole = shipped, self.stops - time.monotonic()

    def expect(self, plans: Iterable[RunPlan], store: Store) -> None:
        """Runs that may start."""
        self.store = store
        self.plans |= {entry.run.key: entry for entry in plans}

    def latest(self, key: str) -> float | None:
        """When a run has to start so that it ends in time, by time.time(); None where it may at any time.

        The latter holds for a run of which nobody knows how long it takes, and for one that takes longer than there was
        at `begin`, which would never start otherwise.
        """
        if self.limit is None or self.whole is None:
            return None
        left = self.stops - time.monotonic()
        seconds = self._seconds(key, left)
        return None if seconds is None or seconds > self.whole else time.time() + left - seconds

    def fits(self, key: str) -> bool:
        """May a run start now?"""
        latest = self.latest(key)
        if latest is None or time.time() <= latest:
            return True
        self.withheld = True
        return False

    def _seconds(self, key: str, left: float) -> float | None:
        """How long a run takes. If that matters, what it has done already and what others took since is looked up.

        By the store's own runs, else by rates of CPUs that are shipped if there are no GPUs.
        """
        if key not in self.seconds:
            self._look()
            self.seconds[key] = run_seconds(self.plans[key], self.speeds, shipped=self.shipped)
        if (self.seconds[key] or 0) > left and time.monotonic() - self.last_look > _REFRESH_SECONDS:
            self.seconds.clear()
            self._look()
        if key not in self.seconds or (self.seconds[key] or 0) > left:
            begun = read_begun(self.store.run(key))
            share = begun.share() if begun else 0.0
            self.seconds[key] = run_seconds(self.plans[key], self.speeds, share, self.shipped)
        return self.seconds[key]

    def _look(self) -> None:
        if time.monotonic() - self.last_look > _REFRESH_SECONDS:
            self.speeds, self.last_look = self.store.speeds(), time.monotonic()


# -- from the driver to its workers, which are on any node ---------------------------------------------


def announce(name: str) -> None:
    """Let the workers of the launch of this name know that it ends."""
    from ray.experimental.internal_kv import _internal_kv_put

    _internal_kv_put(name, b"ends", namespace=_NAMESPACE)


def forget(name: str) -> None:
    """Remove what was announced from a cluster that stays."""
    from ray.experimental.internal_kv import _internal_kv_del

    with suppress(Exception):  # the head may be gone
        _internal_kv_del(name, namespace=_NAMESPACE)


@cache  # a worker does one trial after another
def announced(name: str) -> Callable[[], bool]:
    """Whether the end of the launch of this name was announced, as a thread knows it: a head may be slow to answer."""
    from ray.experimental.internal_kv import _internal_kv_exists

    ends = threading.Event()

    def look() -> None:
        while not ends.is_set():
            with suppress(Exception):
                if _internal_kv_exists(name, namespace=_NAMESPACE):
                    ends.set()
            ends.wait(_LOOK_SECONDS)

    threading.Thread(target=look, name="end of the launch", daemon=True).start()
    return ends.is_set
