"""Impairments of the transmitter and of the receiver, stage by stage.

A new impairment is a field of `Scenario`, a `Stage` here that names it, and its entry in `TRANSMITTER` or `STAGES`,
in the order in which the signal passes them. P1 eq. 2 and P2 Table I give the offsets.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from amc_core.device import carried
from amc_core.exactmath import cos_sin, exponential, minus_2_log, square_root
from amc_core.identity import stream
from amc_core.noise import Noise, Scaling, power
from amc_core.own_receiver import OwnReceiver
from amc_core.randomness import complex_normal
from amc_core.resampling import BlindResampling
from amc_core.stages import Batch, Setting, Stage

_PHASE_NOISE = stream("phase noise")


class Amplifier(Stage):
    """Compresses the sent signal as a solid-state amplifier does: |y| = |x| / (1 + (|x|/A)^2p)^(1/2p), same phase.

    The saturation level A is `amplifier_backoff_db` above the rms of the instance. The law has no memory, so it may be
    evaluated at the delay of each path. Without a filter, products beyond half of the sample rate alias. (C. Rapp,
    Proc. 2nd European Conf. on Satellite
    Communications, 1991; p = 3 is that of IEEE 802.11-03/814.)
    """

    fields = ("amplifier_backoff_db",)

    def __call__(self, signal: tuple[torch.Tensor, torch.Tensor], batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """I and Q at every path delay, each (batch, paths, length) → the same shapes."""
        i, q = signal
        mean = power(torch.stack([part[:, 0] for part in signal], dim=1))[:, None, None]
        saturation = mean * batch.column(10 ** (batch.draws["amplifier_backoff_db"] / 10))
        p = batch.column("amplifier_smoothness")
        exponent = minus_2_log(((i * i + q * q) / saturation.clamp(min=1e-30)).clamp(min=1e-30)) * (-0.5 * p)
        # ln(1 + eᶻ) = max(z, 0) + ln(1 + e^−|z|), which neither over- nor underflows.
        compression = exponent.clamp(min=0) - 0.5 * minus_2_log(1 + exponential(-exponent.abs()))
        gain = exponential(-compression / (2 * p))
        return i * gain, q * gain


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
        cycles, phase = (carried(torch.as_tensor(x), signal.device)[:, None] for x in (cycles, phase))
        return _turned(signal, phase + cycles * self.samples if self.turns else phase)


class PhaseNoise(Stage):
    """Turns a received signal by a Wiener process φ, zero at the first sample: E|φ(t + τ) − φ(t)|² = 2πΔν|τ|.

    So the autocorrelation of exp(jφ) is exp(−πΔν|τ|), and its spectrum a Lorentzian of the full width Δν at half
    maximum. (A. Demir, A. Mehrotra and J. Roychowdhury, IEEE Trans. Circuits Syst. I 47, 2000.)
    """

    fields = ("phase_noise_linewidth",)

    def __call__(self, signal: torch.Tensor, batch: Batch) -> torch.Tensor:
        draws = batch.draws
        step = 1 / (self.setting.scenario.sample_rate * (1 + 1e-6 * draws["sample_rate_offset"]))  # s
        deviation = np.sqrt(2 * math.pi * draws["phase_noise_linewidth"] * step) / (2 * math.pi)  # turns
        count = signal.shape[2] - 1
        increments = complex_normal(batch.keys, batch.indices, _PHASE_NOISE, (count + 1) // 2).flatten(1)[:, :count]
        increments = increments.double() * carried(torch.as_tensor(deviation), signal.device)[:, None]
        return _turned(signal, torch.nn.functional.pad(increments.cumsum(1), (1, 0)))


class Imbalance(Stage):
    """Mixes I and Q as a receiver does whose two branches differ in gain by g, and from a right angle by φ.

    I' = √g (I cos φ/2 − Q sin φ/2), Q' = (Q cos φ/2 − I sin φ/2) / √g. The image is weaker than the signal by the
    image rejection ratio (1 + 2g cos φ + g²) / (1 − 2g cos φ + g²).
    """

    fields = ("iq_gain_imbalance_db", "iq_phase_imbalance")

    def __call__(self, signal: torch.Tensor, batch: Batch) -> torch.Tensor:
        half = carried(torch.as_tensor(batch.draws["iq_phase_imbalance"] / (4 * math.pi)), signal.device)
        cos, sin = (x[:, None] for x in cos_sin(half.to(torch.float32)))
        gain = batch.column(10 ** (batch.draws["iq_gain_imbalance_db"] / 40))[:, 0]
        i, q = signal.unbind(1)
        return torch.stack([(i * cos - q * sin) * gain, (q * cos - i * sin) / gain], dim=1)


class DcOffset(Stage):
    """Adds a constant to I and one to Q, in proportion to the rms of the signal."""

    fields = ("dc_offset_i", "dc_offset_q")

    def __call__(self, signal: torch.Tensor, batch: Batch) -> torch.Tensor:
        offset = torch.cat([batch.column(name) for name in self.fields], dim=1)  # (batch, 2, 1)
        return signal + offset * _rms(signal)


class Converter(Stage):
    """Clips I and Q at ±F, and rounds each to the middle of one of 2^bits equal steps, if `quantiser_bits` is set.

    F is `clipping_level` times the rms of the signal; without that level, it is the largest |I| or |Q| of the instance,
    and nothing is clipped. A sine of amplitude F has a signal-to-quantisation-noise ratio of 6.02·bits + 1.76 dB.
    """

    fields = ("clipping_level", "quantiser_bits")

    def __call__(self, signal: torch.Tensor, batch: Batch) -> torch.Tensor:
        scenario = self.setting.scenario
        if scenario.clipping_level is None:
            largest = signal.abs().amax((1, 2), keepdim=True)
        else:
            largest = _rms(signal) * batch.column("clipping_level")
        if scenario.quantiser_bits is None:
            return torch.clamp(signal, -largest, largest)
        half = batch.column(2.0 ** (np.round(batch.draws["quantiser_bits"]) - 1))  # of the number of steps
        step = largest.clamp(min=1e-30) / half
        return (torch.clamp((signal / step).floor(), -half, half - 1) + 0.5) * step


TRANSMITTER: tuple[type[Stage], ...] = (Amplifier,)  # of I and Q at every path delay, a pair of (batch, paths, length)
STAGES: tuple[type[Stage], ...] = (
    *(Rotation, PhaseNoise, Noise, Imbalance, DcOffset, Converter),
    *(OwnReceiver, BlindResampling, Scaling),
)


def _turned(signal: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """A signal (batch, 2, length) times exp(2πj·turns), turns (batch, length or 1) float64."""
    cos, sin = cos_sin((turns - turns.round()).to(torch.float32))
    i, q = signal[:, 0], signal[:, 1]
    return torch.stack([i * cos - q * sin, i * sin + q * cos], dim=1)


def _rms(signal: torch.Tensor) -> torch.Tensor:
    """(batch, 1, 1)."""
    return square_root(power(signal))[:, None, None]
