"""What every kind of file is opened as: labelled instances that are read where they are consumed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from amc_core.errors import AmcError

# Instances this near to unit power are left as they are, so that what we wrote reads back bit for bit.
_UNIT_POWER_TOLERANCE = 1e-6


class Source(Protocol):
    """Where the samples lie. It holds no open file, so that a recording can be sent to another process."""

    def fetch(self, positions: np.ndarray, length: int) -> np.ndarray:
        """(batch,) int64 positions, in any order and repeated or not → (batch, 2, length) float64, unscaled."""

    def describe(self, position: int) -> str:
        """The file and the instance in it, as an error names them."""

    def spans(self, positions: np.ndarray) -> dict[str, np.ndarray]:
        """What of which content the instances are: digest → (n, 2) int64, first and the one after the last.

        Counted in samples where instances are cut from a long recording, else in instances.
        """


@dataclass(frozen=True, eq=False)
class Recording:
    """The instances of a file or of several.

    modulations: the classes, by our names. length: samples of an instance. modulation: (n,) int64 indices into
    modulations. snr_db: (n,) float64 dB, nan where the file does not say. sample_rate: (n,) float64 Hz, nan
    where the file does not say. notes: what of the file is passed over, a sentence each.
    """

    modulations: tuple[str, ...]
    length: int
    modulation: np.ndarray = field(repr=False)
    snr_db: np.ndarray = field(repr=False)
    sample_rate: np.ndarray = field(repr=False)
    source: Source = field(repr=False)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.modulation)

    @cached_property
    def snrs_db(self) -> tuple[float, ...]:
        """The SNRs that occur, ascending; nan comes last."""
        return tuple(np.unique(self.snr_db).tolist())

    def read(self, positions: Sequence[int] | np.ndarray) -> np.ndarray:
        """(batch,) positions → (batch, 2, length) float32, each instance scaled to mean power E|x|² = 1.

        Raises AmcError for a position outside the recording, and for an instance that is all zero or has a
        sample that is not finite.
        """
        positions = np.asarray(positions, dtype=np.int64)
        outside = (positions < 0) | (positions >= len(self))
        if positions.ndim != 1 or outside.any():
            wrong = positions[outside][0] if outside.any() else f"of shape {positions.shape}"
            raise AmcError(f"position {wrong} is not in the recording; allowed are (batch,) from 0 to {len(self) - 1}")
        x = self.source.fetch(positions, self.length)
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            power = np.einsum("bcn,bcn->b", x, x) / self.length
            scale = np.where(abs(power - 1) < _UNIT_POWER_TOLERANCE, 1, 1 / np.sqrt(power))
        unusable = ~np.isfinite(power) | (power == 0)
        if unusable.any():
            place = self.source.describe(int(positions[unusable.argmax()]))
            what = "is all zero" if power[unusable.argmax()] == 0 else "has samples that are nan or infinite"
            raise AmcError(f"{place} {what}; allowed are finite samples, not all zero")
        return (x * scale[:, None, None]).astype(np.float32)


def instance_length(path: Path, asked: int | None, available: int) -> int:
    """Samples of an instance: those `asked` for (the first of each) of those that the file has."""
    if available < 1 or (asked is not None and not 1 <= asked <= available):
        raise AmcError(
            f"{path}: length is {available if asked is None else asked}; allowed are 1 to {available} samples"
        )
    return available if asked is None else asked


def per_instance(path: Path, name: str, values, count: int) -> np.ndarray:
    """(count,) of one value, or of one for each instance that is to be written."""
    values = np.asarray(values)
    if values.shape not in ((), (count,)):
        raise AmcError(f"{path}: {name} has shape {values.shape}; allowed is one value, or ({count},)")
    return np.broadcast_to(values, (count,))
