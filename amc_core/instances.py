"""The instances of a part of a dataset, simulated (or read from a recording) where they are consumed."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from amc_core.run import Dataset
from amc_core.simulator import Simulator

_KEPT_BYTES = 1 << 30
_BLOCK = 1024  # instances made at a time, enough to fill the simulator's chunks


class Instances:
    """Instances by position, ordered by modulation, then SNR, then index.

    A part of up to 1 GiB is simulated once and kept on the device when `keep` is set; otherwise instances are
    simulated at every call, and memory does not grow with the dataset.
    """

    def __init__(self, dataset: Dataset, part: str, device: torch.device | str = "cpu", keep: bool = False):
        scenario, names, snrs = dataset.scenario, dataset.modulations, dataset.snrs_db
        if scenario.recording:
            from amc_core.recorded import Recorded

            self.source = Recorded(dataset, device)
        else:
            self.source = Simulator(scenario, names, snrs, dataset.length, dataset.seed, device)
        self.indices, self.length = dataset.indices(part), dataset.size(part)
        self.classes, self.snrs = len(names), len(snrs)
        self.kept, self.device = None, device
        if keep and self.length * dataset.length * 8 <= _KEPT_BYTES:
            self.kept = torch.cat([self.make(block) for block in torch.arange(self.length).split(_BLOCK)])

    def __len__(self) -> int:
        return self.length

    def batches(self, positions: torch.Tensor, size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """The instances at positions, up to `size` at a time: (batch, 2, length), and labels and SNRs (batch,)."""
        for block in positions.split(max(_BLOCK // size, 1) * size):
            labels, snrs, _ = (part.to(self.device) for part in self.address(block))
            yield from zip(self(block).split(size), labels.split(size), snrs.split(size), strict=True)

    def address(self, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Modulation (the class label), SNR and index of positions, each (batch,) int64 on the CPU."""
        count = len(self.indices)
        place = positions // count
        return place // self.snrs, place % self.snrs, positions % count + self.indices.start

    def make(self, positions: torch.Tensor) -> torch.Tensor:
        return self.source(*self.address(positions))

    def __call__(self, positions: torch.Tensor) -> torch.Tensor:
        """(batch,) int64 positions on the CPU → (batch, 2, length) float32 on the device."""
        return self.make(positions) if self.kept is None else self.kept[positions.to(self.device)]
