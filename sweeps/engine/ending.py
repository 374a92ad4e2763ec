"""The early end of a launch, by its time limit or on request, and its announcement to the trials.

A run that it stops is not a failure: the store has a checkpoint, from which the next launch continues.
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

_MARGIN_SECONDS, _MARGIN = 60, 0.1  # time before the limit for checkpoints and the end of Ray: at most, and as a share
_REFRESH_SECONDS = 60  # between updates of the times that runs take
_LOOK_SECONDS = 0.5  # between a worker's checks for the end
_NAMESPACE = "amc"  # of keys in the memory of Ray's head


class Cut(Exception):
    """A run stops before it is complete, because its launch ends; its state is in the store."""


class Left(Exception):
    """A run is left to another process that is ahead with it; its state is in the store."""


class Ending:
    """Decides when a launch ends before all is done, and which runs may still start. Its time begins now.

    limit: in seconds, None for none. asked: returns whether the launch has to end at once, for example by a signal.
    """

    def __init__(self, limit: float | None = None, asked: Callable[[], bool] = lambda: False):
        self.limit, self.asked = limit, asked
        self.ends = time.monotonic() + limit if limit else math.inf
        self.stops = self.ends - min(_MARGIN_SECONDS, _MARGIN * limit) if limit else math.inf
        self.notice: Callable[[str], None] = lambda line: None
        self.announced = False  # was the user told that the end is due?
        self.stopped = False  # have all trials ended?
        self.withheld = False  # was a run not started because it could not end in time?
        self.shipped = False  # are shipped CPU rates used for runs without times in the store?
        self.whole: float | None = None  # seconds that were left at `begin`
        self.store: Store | None = None
        self.plans: dict[str, RunPlan] = {}
        self.seconds: dict[str, float | None] = {}  # run key → how long it takes, for runs that were asked for
        self.speeds, self.last_look = {}, -math.inf

    def due(self) -> bool:
        """Is it time for the trials to stop? The first time, the user is told."""
        by_time = time.monotonic() >= self.stops
        due = by_time or self.asked()
        if due and not self.announced:
            self.announced = True
            why = f"The time limit of {duration(self.limit)} is near" if by_time else "A signal or caller asked to end"
            self.notice(f"{why}: running trials save their state in the store and stop. Ctrl-C does not wait for this.")
        return due

    @property
    def over(self) -> bool:
        """Is the time limit reached, so that the launch waits no longer?"""
        return time.monotonic() >= self.ends

    @property
    def early(self) -> bool:
        """Has the launch left out work that it could have done?"""
        return self.announced or self.withheld

    def begin(self, shipped: bool) -> None:
        """Trials can start from now on. shipped: use shipped CPU rates if the store has no times of a classifier?"""
        self.shipped, self.whole = shipped, self.stops - time.monotonic()

    def expect(self, plans: Iterable[RunPlan], store: Store) -> None:
        """Add runs that may start."""
        self.store = store
        self.plans |= {entry.run.key: entry for entry in plans}

    def latest(self, key: str) -> float | None:
        """The latest time.time() at which a run can start and still end in time; None if it may start at any time.

        It may if nobody knows how long it takes, or if it takes longer than the time that was left at `begin`, since it
        would never start otherwise.
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
        """How long a run takes, by the store's own runs, else by shipped CPU rates if there are no GPUs.

        If the time is short, its finished share and newer times of other runs are looked up too.
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


# -- from the driver to its workers on any node --------------------------------------------------------


def announce(name: str) -> None:
    """Tell the workers of the launch of this name that it ends."""
    from ray.experimental.internal_kv import _internal_kv_put

    _internal_kv_put(name, b"ends", namespace=_NAMESPACE)


def forget(name: str) -> None:
    """Remove the announcement from a cluster that keeps running."""
    from ray.experimental.internal_kv import _internal_kv_del

    with suppress(Exception):  # the head may be gone
        _internal_kv_del(name, namespace=_NAMESPACE)


@cache  # a worker does one trial after another
def announced(name: str) -> Callable[[], bool]:
    """A function that returns whether the end of the launch of this name was announced.

    A thread asks Ray's head, which may be slow to answer.
    """
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
