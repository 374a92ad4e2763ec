"""The instances of a recording that a dataset asks for, by modulation and SNR. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from amc_core.copies import located
from amc_core.errors import AmcError, suggest
from amc_core.recordings import Recording, open_recording
from amc_core.recordings.names import modulation_name
from amc_core.run import Dataset

UNKNOWN = "unknown"  # the name of the level of instances without a recorded SNR


class Asked(NamedTuple):
    """What a dataset asks of a recording: the fields of `Dataset` that decide it."""

    modulations: tuple[str, ...]
    snrs_db: tuple[float, ...]
    length: int
    split_length: int | None = None
    whole: bool = False


def asked_by(dataset: Dataset) -> Asked:
    """What a dataset asks of its recordings."""
    return Asked(*(getattr(dataset, name) for name in Asked._fields))


@dataclass(frozen=True, eq=False)
class Selection:
    """Instances of a recording by modulation and SNR.

    modulations: names. snrs_db: dB, None for an unknown SNR. cells: for each modulation and SNR, the positions of its
    instances in the recording.
    """

    recording: Recording
    modulations: tuple[str, ...]
    snrs_db: tuple[float | None, ...]
    cells: tuple[np.ndarray, ...]

    def of(self, cell: int) -> tuple[str, float | None]:
        """Modulation and SNR in dB; None if no SNR is recorded."""
        row, level = divmod(cell, len(self.snrs_db))
        unknown = np.isnan(self.recording.snr_db).all()
        return self.modulations[row], None if unknown else self.snrs_db[level]

    def label(self, cell: int) -> str:
        name, snr_db = self.of(cell)
        return name if snr_db is None else f"{name} at {snr_db:g} dB"


def opened(path: str, asked: Asked) -> Selection:
    """Open a recording and select the instances asked for. Raises AmcError for what it does not hold.

    If a `whole` recording is asked for, its instances are cut to the length asked for, and the SNRs and modulations
    that it lacks are left out; it has to have at least one of each.
    """
    recording = open_recording(path, asked.split_length or asked.length, cut=asked.whole, own=asked.modulations)
    recording = _as_asked(recording, asked.modulations)
    if not asked.whole:
        cells = [cell for name in asked.modulations for cell in _levels(path, recording, name, asked.snrs_db)]
        unknown = len(asked.snrs_db) > 1 and np.isnan(recording.snr_db).all()
        return Selection(recording, asked.modulations, (None,) if unknown else asked.snrs_db, tuple(cells))
    names = tuple(name for name in asked.modulations if name in recording.modulations)
    if not names:
        there, wanted = ", ".join(recording.modulations), ", ".join(asked.modulations)
        raise AmcError(f"{path}: none of the modulations {wanted} is recorded (recorded: {there})")
    of_names = np.isin(recording.modulation, [recording.modulations.index(name) for name in names])
    known = np.unique(recording.snr_db[of_names])  # nan comes last
    levels = [level for level in known.tolist() if not asked.snrs_db or level in asked.snrs_db]
    named = None
    if np.isnan(known).all() and asked.snrs_db:
        if len(asked.snrs_db) > 1:
            raise AmcError(f"{path}: no SNR is recorded: give snr_db one value, which then applies to it, or none")
        levels, named = known.tolist(), asked.snrs_db[0]
    if not levels:
        wanted = ", ".join(f"{level:g}" for level in asked.snrs_db)
        raise AmcError(f"{path}: none of the SNRs {wanted} dB is recorded (recorded: {_listed(known)})")
    cells = []
    for name in names:
        of_name = recording.modulation == recording.modulations.index(name)
        cells += [np.flatnonzero(of_name & _equal(recording.snr_db, level)) for level in levels]
    snrs_db = tuple(named if np.isnan(level) else level for level in levels)
    return Selection(recording, names, snrs_db, tuple(cells))


def _as_asked(recording: Recording, modulations: tuple[str, ...]) -> Recording:
    """The recording with its names spelled as in `modulations`, in any case of letters."""
    asked = {modulation_name(name): name for name in reversed(modulations)}
    names = tuple(name if name in modulations else asked.get(name, name) for name in recording.modulations)
    return replace(recording, modulations=names, spelled=recording.spelled or recording.modulations)


def count_tested(dataset: Dataset) -> int:
    """How many instances the test part of a `whole` recording has, equal ones included; 0 if it cannot be opened."""
    [scenario] = dataset.scenario.components
    try:
        path = located(scenario.recording)
        sizes = _sizes(path, str(path), asked_by(dataset))
    except AmcError:
        return 0
    most = dataset.test_instances
    return sum(size if most is None else min(size, most) for size in sizes)


@lru_cache(maxsize=64)
def _sizes(path: str, name: str, asked: Asked) -> tuple[int, ...]:
    return tuple(map(len, opened(path, asked).cells))


def _levels(path: str, recording: Recording, name: str, snrs_db: tuple[float, ...]) -> list[np.ndarray]:
    """The positions of a modulation's instances at each SNR; at one level if no SNR is recorded."""
    if name not in recording.modulations:
        raise AmcError(f"{path}: modulation {name!r} is not recorded{suggest(name, recording.modulations)}")
    of_name = recording.modulation == recording.modulations.index(name)
    known = recording.snrs_db
    if np.isnan(known).all():
        return [np.flatnonzero(of_name)]
    for snr_db in snrs_db:
        if snr_db not in known:
            raise AmcError(f"{path}: SNR {snr_db:g} dB is not recorded (recorded: {_listed(known)})")
    return [np.flatnonzero(of_name & (recording.snr_db == snr_db)) for snr_db in snrs_db]


def _equal(snr_db: np.ndarray, level: float) -> np.ndarray:
    return np.isnan(snr_db) if np.isnan(level) else snr_db == level


def _listed(levels) -> str:
    return ", ".join(UNKNOWN if level != level else f"{level:g}" for level in levels)
