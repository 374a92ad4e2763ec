"""Receiver offsets, and the draws of every field of a scenario that is a distribution (P1 eq. 2, P2 Table I)."""

from __future__ import annotations

import math

import numpy as np
import torch

from amc_core.exactmath import cos_sin
from amc_core.randomness import OFFSETS, words
from amc_core.scenario import Distribution, Scenario

# A field's place in the stream of draws; it never changes, so that a new field moves no old draw.
_FIELDS = (
    "upsampling",
    "rolloff",
    "timing_offset",
    "phase_offset",
    "carrier_offset",
    "relative_carrier_offset",
    "sample_rate_offset",
)

Draws = dict[str, np.ndarray]  # field → its value in each instance of a batch, (batch,) float64


def draw(scenario: Scenario, keys: torch.Tensor, indices: torch.Tensor) -> Draws:
    """The values of a scenario's fields for a batch of addresses (keys and indices on the CPU)."""
    values = {name: getattr(scenario, name) for name in _FIELDS}
    if not isinstance(scenario.upsampling, Distribution):
        values["upsampling"] = float(scenario.samples_per_symbol)  # 32/3, not the 10.67 that stands for it
    draws = {name: np.full(len(indices), v) for name, v in values.items() if not isinstance(v, Distribution)}
    if len(draws) < len(values):
        drawn = words(keys, indices, OFFSETS, 2 * len(_FIELDS)).permute(1, 2, 0).flatten(1).numpy()
        u = (drawn + 0.5) * 2.0**-32
        for place, (name, value) in enumerate(values.items()):
            if isinstance(value, Distribution):
                draws[name] = value.at(u[:, place])
    return draws


class Rotation:
    """Turns a received signal by exp(j(φ + 2πΔf·t)), a phase and a carrier frequency offset."""

    def __init__(self, scenario: Scenario, length: int, device: torch.device | str = "cpu"):
        self.turns = any(getattr(scenario, name) != 0 for name in ("carrier_offset", "relative_carrier_offset"))
        self.idle = not self.turns and scenario.phase_offset == 0
        self.sample_rate = scenario.sample_rate
        self.samples = torch.arange(length, dtype=torch.float64, device=device)

    def __call__(self, signal: torch.Tensor, draws: Draws) -> torch.Tensor:
        """(batch, 2, length) → (batch, 2, length)."""
        if self.idle:
            return signal
        cycles = draws["carrier_offset"] / (self.sample_rate * (1 + 1e-6 * draws["sample_rate_offset"]))
        cycles, phase = cycles + draws["relative_carrier_offset"], draws["phase_offset"] / (2 * math.pi)
        cycles, phase = (torch.as_tensor(x, device=signal.device)[:, None] for x in (cycles, phase))
        turns = phase + cycles * self.samples if self.turns else phase
        cos, sin = cos_sin((turns - turns.round()).to(torch.float32))
        i, q = signal[:, 0], signal[:, 1]
        return torch.stack([i * cos - q * sin, i * sin + q * cos], dim=1)
