"""Ranges of samples that annotations name, each sample used once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ranges:
    """Labelled ranges of samples: columns (n,) of int64, except snr_db.

    space: index of the samples that contain the range. start, end: first sample, and the one after the last. name:
    index of the modulation. snr_db: float64, nan if it is unknown. row: index of the annotation.
    """

    space: np.ndarray
    start: np.ndarray
    end: np.ndarray
    name: np.ndarray
    snr_db: np.ndarray
    row: np.ndarray

    def __len__(self) -> int:
        return len(self.start)

    def __getitem__(self, chosen: np.ndarray) -> Ranges:
        return Ranges(*(column[chosen] for column in self._columns()))

    def _columns(self) -> tuple[np.ndarray, ...]:
        return self.space, self.start, self.end, self.name, self.snr_db, self.row

    def each_once(self, conflict: Callable[[int, int, int, int], Exception]) -> Ranges:
        """The same samples in ranges that do not overlap, sorted, for any order of the annotations.

        Overlapping ranges of one label become one; a known SNR replaces an unknown one of the same range. conflict:
        (row of an annotation, row of another, first and last sample with two labels) → the exception to raise.
        """
        if self._apart():  # the usual case
            return self
        ordered = self[np.lexsort((np.isnan(self.snr_db), self.end, self.start, self.space))]
        if ordered._apart():
            return ordered
        kept, end = [], ordered.end.copy()
        for row in range(len(ordered)):
            last = kept[-1] if kept else row
            if last == row or ordered.space[row] != ordered.space[last] or ordered.start[row] >= end[last]:
                kept.append(row)
                continue
            levels = ordered.snr_db[[last, row]]
            same_level = levels[0] == levels[1] or np.isnan(levels).all()
            same_range = ordered.start[row] == ordered.start[last] and ordered.end[row] == end[last]
            if ordered.name[row] != ordered.name[last] or not (same_level or (same_range and np.isnan(levels[1]))):
                shared = int(ordered.start[row]), int(min(end[last], ordered.end[row])) - 1
                raise conflict(int(ordered.row[last]), int(ordered.row[row]), *shared)
            end[last] = max(end[last], ordered.end[row])
        once = Ranges(ordered.space, ordered.start, end, ordered.name, ordered.snr_db, ordered.row)
        return once[np.array(kept)]

    def _apart(self) -> bool:
        """Does each range begin after the end of the one before it?"""
        other = self.space[1:] > self.space[:-1]
        return bool((other | ((self.space[1:] == self.space[:-1]) & (self.start[1:] >= self.end[:-1]))).all())

    def instances(self, length: int) -> tuple[np.ndarray, np.ndarray]:
        """Consecutive instances of `length` samples: the index of each one's range, and its first sample."""
        counts = (self.end - self.start) // length
        of = np.repeat(np.arange(len(self)), counts)
        before = np.repeat(np.cumsum(counts) - counts, counts)
        return of, self.start[of] + length * (np.arange(len(of)) - before)
