"""Instances of a recording by address, as the simulator gives them: (modulation, SNR, index) → I/Q."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from amc_core.errors import AmcError, suggest
from amc_core.identity import address_key
from amc_core.recordings import Recording, open_recording
from amc_core.run import Dataset


class Recorded:
    """The instances of a recording that a dataset names.

    Those of one modulation and SNR are numbered in an order that the dataset's seed shuffles, since files may
    hold near copies side by side. Raises AmcError, naming the file, for a modulation, an SNR, a length, or a
    number of instances that it does not hold.
    """

    def __init__(self, dataset: Dataset, path: str, device: torch.device | str = "cpu"):
        self.device = device
        self.recording = _open(path, dataset.length)
        positions = []
        for name in dataset.modulations:
            if name not in self.recording.modulations:
                raise AmcError(
                    f"{path}: modulation {name!r} is not recorded{suggest(name, self.recording.modulations)}"
                )
            modulation = self.recording.modulations.index(name)
            for snr_db in dataset.snrs_db:
                found = np.flatnonzero((self.recording.modulation == modulation) & (self.recording.snr_db == snr_db))
                if not len(found) and snr_db not in self.recording.snrs_db:
                    known = ", ".join(f"{snr:g}" for snr in self.recording.snrs_db)
                    raise AmcError(f"{path}: SNR {snr_db:g} dB is not recorded (recorded: {known})")
                if len(found) < dataset.count:
                    what = f"{len(found)} instances of {name} at {snr_db:g} dB are recorded"
                    raise AmcError(f"{path}: {what}, and the study asks for {dataset.count}")
                # By names and values, not by their order: a test may have other modulations and SNRs than training.
                order = np.random.default_rng(address_key(dataset.seed, name, snr_db)).permutation(len(found))
                positions.append(found[order[: dataset.count]])
        shape = (len(dataset.modulations), len(dataset.snrs_db), dataset.count)
        self.positions = np.stack(positions).reshape(shape)

    def __call__(self, modulation: torch.Tensor, snr: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """As `Simulator`: (batch,) int64 each, on the CPU → (batch, 2, length) float32 of mean power 1."""
        positions = self.positions[modulation.numpy(), snr.numpy(), index.numpy()]
        return torch.as_tensor(self.recording.read(positions), device=self.device)


@lru_cache(maxsize=2)
def _open(path: str, length: int) -> Recording:
    return open_recording(path, length)
