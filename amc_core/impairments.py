"""What happens to a received signal between the antenna and the classifier, stage by stage (P1 eq. 2, P2 Table I).

A new impairment is a field of `Scenario`, a `Stage` here that names it, and its entry in `STAGES`, which is in the
order of the signal's way.
"""

from __future__ import annotations

import math

import torch

from amc_core.exactmath import cos_sin
from amc_core.noise import Noise
from amc_core.stages import Batch, Setting, Stage


class Rotation(Stage):
    """Turns a received signal by exp(j(φ + 2πΔf·t)), a phase and a carrier frequency offset."""

    fields = ("phase_offset", "carrier_offset", "relative_carrier_offset")

    def __init__(self, setting: Setting):
        scenario = setting.scenario
        self.turns = any(getattr(scenario, name) != 0 for name in ("carrier_offset", "relative_carrier_offset"))
        self.sample_rate = scenario.sample_rate
        self.samples = torch.arange(setting.length, dtype=torch.float64, device=setting.device)

    def __call__(self, signal: torch.Tensor, batch: Batch) -> torch.Tensor:
        draws = batch.draws
        cycles = draws["carrier_offset"] / (self.sample_rate * (1 + 1e-6 * draws["sample_rate_offset"]))
        cycles, phase = cycles + draws["relative_carrier_offset"], draws["phase_offset"] / (2 * math.pi)
        cycles, phase = (torch.as_tensor(x, device=signal.device)[:, None] for x in (cycles, phase))
        turns = phase + cycles * self.samples if self.turns else phase
        cos, sin = cos_sin((turns - turns.round()).to(torch.float32))
        i, q = signal[:, 0], signal[:, 1]
        return torch.stack([i * cos - q * sin, i * sin + q * cos], dim=1)


STAGES: tuple[type[Stage], ...] = (Rotation, Noise)
