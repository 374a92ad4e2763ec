"""The instances of a part of a dataset, simulated (or read from a recording) where they are consumed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from amc_core.device import carried, kept_bytes
from amc_core.errors import AmcError
from amc_core.run import Dataset, share
from amc_core.simulator import Simulator

_BLOCK = 1024  # instances made at a time, enough to fill the simulator's chunks
_EPOCH_SHIFT = 32  # fresh instances have indices of their own, above those of any dataset


class Instances:
    """Instances by position, ordered by modulation, then SNR, then index.

    modulations, snrs_db: names and dB, None for an unknown SNR. They are those of the dataset, or, for a whole
    recording, those of them that it has.

    part: "train", "validation" or "test". fraction: share of the part that is used, the same number of indices for
    every modulation and SNR, chosen by `seed`. keep: simulate up to `kept_bytes` once and keep them on the device;
    otherwise instances are simulated at every call, and memory does not grow with the dataset.
    """

    def __init__(
        self,
        dataset: Dataset,
        part: str,
        device: torch.device | str = "cpu",
        keep: bool = False,
        fraction: float = 1.0,
        seed: int = 0,
    ):
        self.mixture, self.device = dataset.scenario, device
        self.sources = [_source(dataset, part, scenario, device) for scenario in dataset.scenario.components]
        if sum(bool(scenario.recording) for scenario in dataset.scenario.components) > 1:
            from amc_core.recorded import require_parts_apart

            require_parts_apart(dataset)
        source = self.sources[0] if dataset.scenario.components[0].recording else dataset
        self.modulations, self.snrs_db = source.modulations, source.snrs_db
        self.snrs, self.indices = len(self.snrs_db), None  # (modulations × SNRs, of each) int64
        if dataset.whole:
            ends = torch.as_tensor(self.sources[0].counts.ravel()).cumsum(0)
            self.ends, self.carried_ends = ends, carried(ends, device)
            self.length = int(ends[-1])
        else:
            indices = torch.tensor(dataset.indices(part)).expand(len(self.modulations) * self.snrs, -1)
            if fraction < 1:
                order = np.random.default_rng(seed).random(indices.shape).argsort(1)
                indices = indices.gather(1, torch.as_tensor(order[:, : share(indices.shape[1], fraction)]))
            self.indices, self.length = indices, indices.numel()
        self.kept = None
        if keep and self.length * dataset.length * 8 <= kept_bytes(device):
            self.kept = torch.cat([self.make(*self.address(block)) for block in torch.arange(len(self)).split(_BLOCK)])

    def __len__(self) -> int:
        return self.length

    def batches(
        self, positions: torch.Tensor, size: int, epoch: int = 0
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """The instances at positions, up to `size` at a time: (batch, 2, length), modulations and SNRs (batch,).

        epoch: if it is not 0, fresh instances come instead, which no other epoch and no dataset has.
        """
        step = max(_BLOCK // size, 1) * size
        blocks = zip(positions.split(step), carried(positions, self.device).split(step), strict=True)
        for here, there in blocks:
            if self.kept is not None and not epoch:
                x = self.kept[there]
            else:
                modulation, snr, index = self.address(here)
                x = self.make(modulation, snr, index + (epoch << _EPOCH_SHIFT))
            row = self._rows(there)
            labels, snrs = row // self.snrs, row % self.snrs
            yield from zip(x.split(size), labels.split(size), snrs.split(size), strict=True)

    def address(self, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Modulation, SNR and index of positions, each (batch,) int64 on the CPU."""
        row = self._rows(positions)
        if self.indices is None:
            index = positions - (self.ends - self.ends.diff(prepend=self.ends.new_zeros(1)))[row]
        else:
            index = self.indices[row, positions % self.indices.shape[1]]
        return row // self.snrs, row % self.snrs, index

    def _rows(self, positions: torch.Tensor) -> torch.Tensor:
        """The row of each position: modulation × number of SNRs + SNR."""
        if self.indices is not None:
            return positions // self.indices.shape[1]
        ends = self.ends if positions.device == self.ends.device else self.carried_ends
        return torch.bucketize(positions, ends, right=True)

    def of(self, names: Sequence[str], snr_db: float, number: int) -> torch.Tensor:
        """Instance `number` of the part, counted from 0, for each modulation: (names, 2, length).

        Raises AmcError for a modulation or an SNR that the part does not have, and for a number that is too large.
        """
        what = next((name for name in names if name not in self.modulations), None)
        if what is not None or snr_db not in self.snrs_db:
            levels = ", ".join("unknown" if level is None else f"{level:g}" for level in self.snrs_db)
            there = f"it has {', '.join(self.modulations)} at {levels} dB"
            raise AmcError(f"{f'SNR {snr_db:g} dB' if what is None else what} is not in the test part: {there}")
        rows = torch.tensor([self.modulations.index(name) for name in names]) * self.snrs + self.snrs_db.index(snr_db)
        if self.indices is None:
            counts = self.ends.diff(prepend=self.ends.new_zeros(1))
        else:
            counts = torch.full((len(self.indices),), self.indices.shape[1])
        if number >= (fewest := int(counts[rows].min())):
            raise AmcError(f"instance {number} is not in the test part: it has instances 0 to {fewest - 1}")
        return self.make(*self.address(counts.cumsum(0)[rows] - counts[rows] + number))

    def make(self, modulation: torch.Tensor, snr: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """(batch,) int64 each, on the CPU → (batch, 2, length) float32 on the device."""
        if len(self.sources) == 1:
            return self.sources[0](modulation, snr, index)
        rows = self._members(index)
        made = [source(modulation[p], snr[p], index[p]) for source, p in zip(self.sources, rows, strict=True) if len(p)]
        return torch.cat(made)[carried(torch.cat(rows).argsort(), self.device)]

    def known(self, positions: torch.Tensor) -> list:
        """What a receiver that knows the setting knows of the instances at positions: a `likelihood.Known` each."""
        from amc_core.models.likelihood import known

        modulation, snr, index = self.address(positions)
        rows = [torch.arange(len(index))] if len(self.sources) == 1 else self._members(index)
        facts = {}
        for source, p in zip(self.sources, rows, strict=True):
            facts |= zip(p.tolist(), known(source, modulation[p], snr[p], index[p]), strict=True)
        return [facts[row] for row in range(len(index))]

    def _members(self, index: torch.Tensor) -> list[torch.Tensor]:
        """The positions in `index` of the instances from each scenario of a mixture."""
        component = torch.as_tensor(self.mixture.component(index.numpy()))
        return [torch.nonzero(component == number).squeeze(1) for number in range(len(self.sources))]


def _source(dataset: Dataset, part: str, scenario, device):
    if scenario.recording:
        from amc_core.recorded import Recorded

        return Recorded(dataset, scenario.recording, device, scenario.normalisation)
    stretch = dataset.stretch(part)
    return Simulator(scenario, dataset.modulations, dataset.snrs_db, dataset.length, dataset.seed, device, stretch)
