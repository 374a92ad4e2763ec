"""The stages that a signal passes from symbols to samples, and their arguments.

A stage is bound to a setting and called as ``stage(signal, batch) → signal``. The first, a baseband, is given None and
returns I and Q at every path delay, a pair of (batch, paths, length). The stages of `impairments.TRANSMITTER` take and
return such a pair. The next stage adds up the paths. From there on, with `impairments.STAGES`, a signal is
(batch, 2, length) float32, I and Q.
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
    """The setting to which a stage is bound.

    delays: (paths,) in s. length: samples of an instance. seed: of the dataset. stretch: the tenths of an audio file
    between which instances are taken.
    """

    scenario: Scenario
    delays: np.ndarray
    length: int
    device: torch.device
    seed: int = 0
    stretch: tuple[int, int] = (0, 10)


class Draws(dict):
    """Field of a scenario → its value in each instance of a batch of addresses, (batch,) float64, drawn on demand.

    A field's draw is the first word of the stream of its name, so that no field changes the draws of another.
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
        """The values of a distribution, drawn from the stream of a name; a fixed value is repeated."""
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

    kind: (batch,) int64, index of the modulation within its baseband. keys, indices: (batch, 2) and (batch,) int64 of
    the addresses. noise_power: (batch,) float32, relative to `sent_power`, (batch,) float32, or, if that is None, to
    the received power. All but draws are on the device.
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
        """A field's value in each instance, or values (batch,) float64, as (batch, 1, 1) float32 factors."""
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

    fields: the fields of a scenario that the stage implements. If all of them have their default, it is left out.
    """

    fields: tuple[str, ...] = ()

    def __init__(self, setting: Setting):
        self.setting = setting

    @classmethod
    def of(cls, setting: Setting) -> Stage | None:
        """The stage of a setting, None if it has no effect there."""
        declared = fields_of(setting.scenario)
        usual = [getattr(setting.scenario, name) == declared[name].default for name in cls.fields]
        return None if usual and all(usual) else cls(setting)

    @abstractmethod
    def __call__(self, signal: Any, batch: Batch) -> Any:
        """The signal after the stage."""

    def into(self, out: torch.Tensor, rows: torch.Tensor, signal: torch.Tensor, batch: Batch) -> None:
        """Write the signal after the stage into `rows`, (batch,), of `out`, (…, 2, length)."""
        out[rows] = self(signal, batch)
