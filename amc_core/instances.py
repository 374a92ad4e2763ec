"""The instances of a part of a dataset, simulated (or read from a recording) where they are consumed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from amc_core.device import carried, kept_bytes
from amc_core.run import Dataset, share
from amc_core.simulator import Simulator

_BLOCK = 1024  # instances made at a time, enough to fill the simulator's chunks
_EPOCH_SHIFT = 32  # fresh instances have indices of their own, above those of any dataset


class Instances:
    """Instances by position, ordered by modulation, then SNR, then index.

    fraction: of the part that is used: as many indices of every modulation and SNR, chosen by `seed`. keep: simulate up
    to `kept_bytes` once and keep them on the device; otherwise instances are simulated at every call, and memory does
    not grow with the dataset.
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
        self.sources = [_source(dataset, scenario, device) for scenario in dataset.scenario.components]
        if sum(bool(scenario.recording) for scenario in dataset.scenario.components) > 1:
            from amc_core.recorded import require_parts_apart

            require_parts_apart(dataset)
        self.modulations, self.snrs = dataset.modulations, len(dataset.snrs_db)
        indices = torch.tensor(dataset.indices(part)).expand(len(self.modulations) * self.snrs, -1)
        if fraction < 1:
            order = np.random.default_rng(seed).random(indices.shape).argsort(1)[:, : share(indices.shape[1], fraction)]
            indices = indices.gather(1, torch.as_tensor(order))
        self.indices, self.length = indices, indices.numel()  # (modulations × SNRs, of each)
        self.kept = None
        if keep and self.length * dataset.length * 8 <= kept_bytes(device):
            self.kept = torch.cat([self.make(*self.address(block)) for block in torch.arange(len(self)).split(_BLOCK)])

    def __len__(self) -> int:
        return self.length

    def batches(
        self, positions: torch.Tensor, size: int, epoch: int = 0
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """The instances at positions, up to `size` at a time: (batch, 2, length), modulations and SNRs (batch,).

        epoch: other than 0, instances that no other epoch and no dataset has, in place of those.
        """
        step = max(_BLOCK // size, 1) * size
        blocks = zip(positions.split(step), carried(positions, self.device).split(step), strict=True)
        for here, there in blocks:
            if self.kept is not None and not epoch:
                x = self.kept[there]
            else:
                modulation, snr, index = self.address(here)
                x = self.make(modulation, snr, index + (epoch << _EPOCH_SHIFT))
            row = there // self.indices.shape[1]
            labels, snrs = row // self.snrs, row % self.snrs
            yield from zip(x.split(size), labels.split(size), snrs.split(size), strict=True)

    def address(self, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Modulation, SNR and index of positions, each (batch,) int64 on the CPU."""
        count = self.indices.shape[1]
        place = positions // count
        return place // self.snrs, place % self.snrs, self.indices[place, positions % count]

    def make(self, modulation: torch.Tensor, snr: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """(batch,) int64 each, on the CPU → (batch, 2, length) float32 on the device."""
        if len(self.sources) == 1:
            return self.sources[0](modulation, snr, index)
        places = self._places(index)
        made = [
            source(modulation[p], snr[p], index[p]) for source, p in zip(self.sources, places, strict=True) if len(p)
        ]
        return torch.cat(made)[carried(torch.cat(places).argsort(), self.device)]

    def known(self, positions: torch.Tensor) -> list:
        """What a receiver that knows the setting knows of the instances at positions, a `likelihood.Known` each."""
        from amc_core.models.likelihood import known

        modulation, snr, index = self.address(positions)
        places = [torch.arange(len(index))] if len(self.sources) == 1 else self._places(index)
        told = {}
        for source, p in zip(self.sources, places, strict=True):
            told |= zip(p.tolist(), known(source, modulation[p], snr[p], index[p]), strict=True)
        return [told[place] for place in range(len(index))]

    def _places(self, index: torch.Tensor) -> list[torch.Tensor]:
        """Which instances are from each scenario of a mixture."""
        component = torch.as_tensor(self.mixture.component(index.numpy()))
        return [torch.nonzero(component == place).squeeze(1) for place in range(len(self.sources))]


def _source(dataset: Dataset, scenario, device):
    if scenario.recording:
        from amc_core.recorded import Recorded

        return Recorded(dataset, scenario.recording, device)
    return Simulator(scenario, dataset.modulations, dataset.snrs_db, dataset.length, dataset.seed, device)
