"""Simulated instances as files that other tools read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from amc_core.errors import AmcError
from amc_core.quantities import many
from amc_core.recordings.hdf5 import write_radioml2018
from amc_core.recordings.sigmf_write import write_sigmf
from amc_core.scenario import Scenario
from amc_core.simulator import simulate

_BATCH = 1024
_HDF5 = (".h5", ".hdf5")


def require_exportable(path: Path) -> None:
    """Raise AmcError unless the ending of `path` is that of a format for instances.

    .h5 or .hdf5: a file in the RadioML 2018.01A layout, written batch by batch. No ending: a directory of SigMF
    recordings, one for each modulation.
    """
    if path.suffix and path.suffix not in _HDF5:
        raise AmcError(
            f"{str(path)!r} names no format of instances: give FILE.h5 for one file in the RadioML 2018.01A layout, or "
            "a name without an ending for a directory of SigMF recordings"
        )


def export_instances(
    path: Path,
    scenario: Scenario,
    modulations: Sequence[str],
    snr_db: float,
    instances: int,
    length: int,
    seed: int = 0,
) -> str:
    """Write instances 0 … instances − 1 of each modulation; returns what was written, in words.

    path: see `require_exportable`. Raises AmcError if it cannot be written.
    """
    require_exportable(path)

    def batches(name: str) -> Iterator[np.ndarray]:
        for start in range(0, instances, _BATCH):
            indices = range(start, min(start + _BATCH, instances))
            x = simulate(scenario, name, snr_db, indices, length, seed).numpy()
            yield np.stack([x.real, x.imag], axis=1)

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in _HDF5:
            labelled = ((x, index, snr_db) for index, name in enumerate(modulations) for x in batches(name))
            write_radioml2018(path, labelled, modulations)
            return f"{path} (RadioML 2018.01A layout)"
        path.mkdir(exist_ok=True)
        for name in modulations:
            write_sigmf(path / name, np.concatenate(list(batches(name))), scenario.sample_rate, name, snr_db)
        return f"{path} ({many(len(modulations), 'SigMF recording')})"
    except OSError as error:
        raise AmcError(f"{str(path)!r} cannot be written: {error.strerror or error}") from None
