"""A recording, the same for files of every format: labelled instances that are read where they are consumed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from amc_core.errors import AmcError

# Instances this close to unit power are not scaled, so that files that we wrote read back bit for bit.
_UNIT_POWER_TOLERANCE = 1e-6
_SINGLE = np.finfo(np.float32)
ALLOWED = "allowed are finite samples, not all zero, with a power in the range of single precision"


class Source(Protocol):
    """The location of samples. It holds no open file, so that a recording can be sent to another process."""

    def fetch(self, positions: np.ndarray, length: int) -> np.ndarray:
        """(batch,) int64 positions, in any order and repeated or not → (batch, 2, length) float64, unscaled."""

    def describe(self, position: int) -> str:
        """The file and the instance in it, for messages."""

    def spans(self, positions: np.ndarray) -> dict[str, np.ndarray]:
        """The ranges that the instances occupy: digest of a content → (n, 2) int64, first and the one after the last.

        Ranges count samples if instances are cut from a long recording, else instances.
        """


@dataclass(frozen=True)
class _Consecutive:
    """Instances cut from longer ones of another source: `count` consecutive instances of `length` samples from each."""

    source: Source
    count: int
    length: int

    def fetch(self, positions: np.ndarray, length: int) -> np.ndarray:
        longer, row = np.unique(positions // self.count, return_inverse=True)
        x = self.source.fetch(longer, self.count * self.length)
        x = x.reshape(len(longer), 2, self.count, self.length)
        return x[row, :, positions % self.count, :length]

    def describe(self, position: int) -> str:
        first = position % self.count * self.length
        longer = self.source.describe(position // self.count)
        return f"{longer}, its samples {first} to {first + self.length - 1}"

    def spans(self, positions: np.ndarray) -> dict[str, np.ndarray]:
        return self.source.spans(positions // self.count)


@dataclass(frozen=True, eq=False)
class Recording:
    """The instances of one file or several files.

    modulations: the classes, by our names. length: samples of an instance. modulation: (n,) int64 indices into
    modulations. snr_db: (n,) float64 dB, nan if unknown. sample_rate: (n,) float64 Hz, nan if unknown. notes: what of
    the file is left out, a sentence each. spelled: the classes as the file spells them, empty if it has none.
    """

    modulations: tuple[str, ...]
    length: int
    modulation: np.ndarray = field(repr=False)
    snr_db: np.ndarray = field(repr=False)
    sample_rate: np.ndarray = field(repr=False)
    source: Source = field(repr=False)
    notes: tuple[str, ...] = ()
    spelled: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.modulation)

    @cached_property
    def snrs_db(self) -> tuple[float, ...]:
        """The SNRs that occur, ascending; nan comes last."""
        return tuple(np.unique(self.snr_db).tolist())

    def first_samples(self, length: int) -> Recording:
        """The first `length` samples of each instance."""
        return replace(self, length=length)

    def cut(self, length: int) -> Recording:
        """Consecutive instances of `length` samples, as many as fit into each of the recording's instances.

        Those of one instance have consecutive positions.
        """
        count = self.length // length
        if count == 1:
            return self.first_samples(length)
        columns = {name: np.repeat(getattr(self, name), count) for name in ("modulation", "snr_db", "sample_rate")}
        return replace(self, length=length, source=_Consecutive(self.source, count, length), **columns)

    def read(self, positions: Sequence[int] | np.ndarray, normalisation: str = "power") -> np.ndarray:
        """(batch,) positions → (batch, 2, length) float32, each instance scaled to mean power E|x|² = 1.

        normalisation: as in `Scenario`; others than "power" divide an instance by its energy or by its largest
        magnitude, or leave it as it is. Raises AmcError for a position outside the recording, and for an instance that
        is all zero, has a sample that is not finite, or a power beyond single precision.
        """
        positions = np.asarray(positions, dtype=np.int64)
        outside = (positions < 0) | (positions >= len(self))
        if positions.ndim != 1 or outside.any():
            wrong = positions[outside][0] if outside.any() else f"of shape {positions.shape}"
            raise AmcError(f"position {wrong} is not in the recording; allowed are (batch,) from 0 to {len(self) - 1}")
        x = self.source.fetch(positions, self.length)
        power = mean_power(x)
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            if normalisation == "power":
                scale = np.where(abs(power - 1) < _UNIT_POWER_TOLERANCE, 1, 1 / np.sqrt(power))
            elif normalisation == "energy":
                scale = 1 / (power * self.length)
            else:
                scale = 1 / np.hypot(*x.swapaxes(0, 1)).max(1) if normalisation == "max" else np.ones(len(x))
        unusable = ~is_usable(power)
        if unusable.any():
            row = int(unusable.argmax())
            raise AmcError(f"{self.source.describe(int(positions[row]))} {flaw(x[row])}; {ALLOWED}")
        return (x * scale[:, None, None]).astype(np.float32)


def mean_power(x: np.ndarray) -> np.ndarray:
    """(batch, 2, n) → (batch,) E|x|², nan or infinite if samples are or if it overflows."""
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        return np.einsum("bcn,bcn->b", x, x) / x.shape[2]


def is_usable(power: np.ndarray) -> np.ndarray:
    """Can single precision hold the scale of an instance of this mean power? (batch,) → bool."""
    return (power >= _SINGLE.tiny) & (power <= _SINGLE.max)


def flaw(x: np.ndarray) -> str:
    """What is wrong with the samples (2, n) of an instance that is not usable."""
    if not np.isfinite(x).all():
        return "has samples that are nan or infinite"
    return f"has samples of up to {abs(x).max():.3g}" if x.any() else "is all zero"


def fitted(path: Path, recording: Recording, length: int | None, cut: bool) -> Recording:
    """A recording of instances of `length` samples: the first of each, or with `cut` as many as fit into each.

    Raises AmcError if its instances have fewer samples.
    """
    asked = recording.length if length is None else length
    if not 1 <= asked <= recording.length:
        raise AmcError(f"{path}: length is {asked}; allowed are 1 to {recording.length} samples")
    if asked == recording.length:
        return recording
    return recording.cut(asked) if cut else recording.first_samples(asked)


def per_instance(path: Path, name: str, values, count: int) -> np.ndarray:
    """(count,) values for the instances to be written, from one value for all or one for each."""
    values = np.asarray(values)
    if values.shape not in ((), (count,)):
        raise AmcError(f"{path}: {name} has shape {values.shape}; allowed is one value, or ({count},)")
    return np.broadcast_to(values, (count,))
