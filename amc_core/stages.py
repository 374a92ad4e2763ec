"""The stages that a signal passes on its way from symbols to samples, and what each of them is given.

A stage is bound to a setting and called as ``stage(signal, batch) → signal``. The first, a baseband, is given None and
returns I and Q at every path delay, a pair of (batch, paths, length); those of `impairments.TRANSMITTER` keep it so;
the next adds up the paths; from there on a signal is (batch, 2, length) float32, I and Q. `impairments.STAGES` follow.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from amc_core.device import carried
from amc_core.distributions import Distribution
from amc_core.fields import fields_of
from amc_core.identity import stream
from amc_core.randomness import words
from amc_core.scenario import Scenario


@dataclass(frozen=True)
class Setting:
    """What a stage is bound to.

    A scenario, its path delays (paths,) in s, the length in samples, the device, the seed of the dataset, and from
    which tenth to which of an audio file its instances are taken.
    """

    scenario: Scenario
    delays: np.ndarray
    length: int
    device: torch.device
    seed: int = 0
    stretch: tuple[int, int] = (0, 10)


class Draws(dict):
    """Field of a scenario → its value in each instance of a batch of addresses, (batch,) float64, made on demand.

    A field's draw is the first word of a stream that belongs to its name, so that no field moves the draws of another.
    keys: (batch, 2) int64; indices: (batch,) int64; both on the CPU.
    """

    def __init__(self, scenario: Scenario, keys: torch.Tensor, indices: torch.Tensor):
        super().__init__()
        self.scenario, self.keys_of, self.indices = scenario, keys, indices

    def __missing__(self, name: str) -> np.ndarray:
        value = getattr(self.scenario, name)
        if name == "upsampling" and not isinstance(value, Distribution):
            value = float(self.scenario.samples_per_symbol)  # 32/3, not 10.67
        self[name] = self.of(name, value)
        return self[name]

    def of(self, name: str, value: float | Distribution) -> np.ndarray:
        """What is drawn of a value by the name of a stream; of one that is fixed, that."""
        if not isinstance(value, Distribution):
            return np.full(len(self.indices), value)
        drawn = words(self.keys_of, self.indices, stream(name), 1)[0, :, 0].numpy()
        return value.at((drawn + 0.5) * 2.0**-32)

    def first(self, count: int) -> Draws:
        """The draws of the first `count` instances."""
        part = Draws(self.scenario, self.keys_of[:count], self.indices[:count])
        part.update({name: values[:count] for name, values in self.items()})
        return part


@dataclass(frozen=True)
class Batch:
    """A batch of addresses, as stages see it.

    kind: (batch,) int64, the modulation among those of a baseband. keys: (batch, 2) int64 and indices: (batch,) int64,
    of the addresses. noise_power: (batch,) float32, in proportion to the signal's: to that received, or, where
    `sent_power` (batch,) float32 is given, to that. All but draws are on the device.
    """

    kind: torch.Tensor
    keys: torch.Tensor
    indices: torch.Tensor
    draws: Draws
    noise_power: torch.Tensor
    sent_power: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.indices)

    def column(self, values: str | np.ndarray) -> torch.Tensor:
        """A field's value in each instance, or (batch,) float64, as (batch, 1, 1) float32 to scale a signal by."""
        values = self.draws[values] if isinstance(values, str) else values
        return carried(torch.as_tensor(values, dtype=torch.float32), self.indices.device)[:, None, None]

    def first(self, count: int) -> Batch:
        """The first `count` addresses."""
        if count == len(self):
            return self
        tensors = {name: getattr(self, name)[:count] for name in ("kind", "keys", "indices", "noise_power")}
        tensors["sent_power"] = None if self.sent_power is None else self.sent_power[:count]
        return replace(self, draws=self.draws.first(count), **tensors)


class Stage(ABC):
    """One stage of a signal, bound to a setting.

    fields: those of a scenario that it is the effect of. With all of them at their default, the stage is left out.
    """

    fields: tuple[str, ...] = ()

    def __init__(self, setting: Setting):
        self.setting = setting

    @classmethod
    def of(cls, setting: Setting) -> Stage | None:
        """The stage of a setting, None where it has nothing to do."""
        declared = fields_of(setting.scenario)
        usual = [getattr(setting.scenario, name) == declared[name].default for name in cls.fields]
        return None if usual and all(usual) else cls(setting)

    @abstractmethod
    def __call__(self, signal: Any, batch: Batch) -> Any:
        """What becomes of a signal."""

    def into(self, out: torch.Tensor, rows: torch.Tensor, signal: torch.Tensor, batch: Batch) -> None:
        """As a call, of the last stage: the signal becomes `rows` (batch,) of `out` (…, 2, length)."""
        out[rows] = self(signal, batch)
