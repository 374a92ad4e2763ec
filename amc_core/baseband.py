"""Baseband signals of the three families of modulations, evaluated at every path delay of a channel.

Each class is bound to one setting and draws a batch of addresses: (keys, indices) → I and Q, each
(batch, paths, length) float32. P1 §III, eq. 1.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import torch

from amc_core.exactmath import cos_sin, minus_2_log, square_root
from amc_core.modulations import Analogue, ContinuousPhase, Linear
from amc_core.pulse_train import pulse_train
from amc_core.pulses import INTERPOLATION_SPAN, interpolation_kernel, raised_cosine, raised_cosine_span
from amc_core.randomness import SOURCE, SYMBOLS, integers, uniform
from amc_core.scenario import Scenario

AUDIO_RATE = 32_000  # Hz; audio is band-limited to 11 kHz
AUDIO_RMS = 0.3  # of the full scale that the deviation refers to
_LINES = 32


class LinearBaseband:
    """Linear modulations of one setting that share the delay of Q; each instance has a constellation of its own."""

    def __init__(self, modulations: list[Linear], scenario: Scenario, delays: np.ndarray, length: int, device):
        sizes = [len(modulation.points) for modulation in modulations]
        self.sizes = torch.as_tensor(sizes, device=device)
        self.starts = torch.as_tensor(np.cumsum([0, *sizes[:-1]]), device=device)
        points = np.concatenate([modulation.points for modulation in modulations])
        self.i_points = torch.tensor(points.real, dtype=torch.float32, device=device)
        self.q_points = torch.tensor(points.imag, dtype=torch.float32, device=device)
        samples_per_symbol = scenario.samples_per_symbol
        span = raised_cosine_span(scenario.rolloff)

        def pulse(t):
            return np.where(np.abs(t) <= span, raised_cosine(t, scenario.rolloff), 0)

        delays = delays * scenario.sample_rate / float(samples_per_symbol)
        self.paths = len(delays)
        lag = modulations[0].quadrature_delay
        delays = np.concatenate([delays, delays + lag]) if lag else delays  # a second set of paths, for Q
        self.train = pulse_train(pulse, (-span, span), samples_per_symbol, delays, length, device)

    def __call__(self, kind: torch.Tensor, keys: torch.Tensor, indices: torch.Tensor):
        """kind: (batch,) int64, position in `modulations` of each instance."""
        labels = integers(keys, indices, SYMBOLS, self.train.count, self.sizes[kind]) + self.starts[kind][:, None]
        i, q = self.train(self.i_points[labels]), self.train(self.q_points[labels])
        return i[:, : self.paths], q[:, -self.paths :]


class ContinuousPhaseBaseband:
    """One CPM modulation of one setting."""

    def __init__(self, modulation: ContinuousPhase, scenario: Scenario, delays: np.ndarray, length: int, device):
        samples_per_symbol = scenario.samples_per_symbol
        delays = delays * scenario.sample_rate / float(samples_per_symbol)

        def turns(t):
            return modulation.index * modulation.phase_response(t)

        self.index = modulation.index
        self.train = pulse_train(turns, modulation.support, samples_per_symbol, delays, length, device)

    def __call__(self, kind: torch.Tensor, keys: torch.Tensor, indices: torch.Tensor):
        train = self.train
        two = torch.full_like(indices, 2)
        symbols = (1 - 2 * integers(keys, indices, SYMBOLS, train.count, two)).to(torch.float32)
        # Symbols older than a block's window have turned the phase by ±h/2 each; whole turns are dropped.
        sums = torch.nn.functional.pad(symbols.cumsum(1), (1, 0))[:, :: max(train.step, 1)][:, : train.blocks]
        return cos_sin(train(symbols, before=sums * (self.index / 2) % 1))


class AnalogueBaseband:
    """One analogue modulation of one setting, on a speech-like source drawn from the address.

    The source is a sum of spectral lines: harmonics of a pitch (voiced) or lines anywhere (unvoiced), shaped
    by three formants. Its analytic signal, its integral and its pre-emphasis are exact, line by line.
    """

    def __init__(self, modulation: Analogue, scenario: Scenario, delays: np.ndarray, length: int, device):
        self.modulation, self.device = modulation, device
        self.knot_rate = min(AUDIO_RATE, scenario.sample_rate)
        samples_per_knot = Fraction(scenario.sample_rate) / Fraction(self.knot_rate)
        support = (-INTERPOLATION_SPAN, INTERPOLATION_SPAN)
        knot_delays = delays * self.knot_rate
        self.train = pulse_train(interpolation_kernel, support, samples_per_knot, knot_delays, length, device)
        knots = (np.arange(self.train.count) + self.train.first) / self.knot_rate
        self.times = torch.as_tensor(knots, dtype=torch.float32, device=device)
        frequency = min(modulation.intermediate_frequency, scenario.sample_rate / 4)
        angle = 2 * math.pi * frequency * (np.arange(length) / scenario.sample_rate - delays[:, None])
        self.carrier = [torch.as_tensor(x, dtype=torch.float32, device=device) for x in (np.cos(angle), np.sin(angle))]

    def __call__(self, kind: torch.Tensor, keys: torch.Tensor, indices: torch.Tensor):
        frequency, amplitude, phase = self._lines(keys, indices)
        cos, sin = cos_sin(frequency[:, None] * self.times[:, None] + phase[:, None])  # (batch, knots, lines)
        if self.modulation.deviation:
            return cos_sin(self.train(self._swing(frequency, amplitude, cos, sin)))
        a, b = self.carrier
        i = self.train((amplitude[:, None] * cos).sum(2))
        if self.modulation.sidebands == 2:
            return i * a, i * b
        q = self.train((amplitude[:, None] * sin).sum(2))
        return i * a - q * b, i * b + q * a

    def _swing(self, frequency, amplitude, cos, sin) -> torch.Tensor:
        """Turns of phase: deviation · ∫ m(t) dt, after pre-emphasis by (1 + j2πfT), line by line."""
        per_hertz = self.modulation.deviation * AUDIO_RMS / (2 * math.pi)
        emphasis = 2 * math.pi * self.modulation.emphasis * frequency
        weight = amplitude / square_root(((1 + emphasis * emphasis) * amplitude * amplitude).sum(1) / 2)[:, None]
        return per_hertz * ((weight / frequency)[:, None] * (sin + emphasis[:, None] * cos)).sum(2)

    def _lines(self, keys: torch.Tensor, indices: torch.Tensor):
        """Frequency in Hz, amplitude and phase in turns of the source's lines, each (batch, lines)."""
        draws = uniform(keys, indices, SOURCE, 3 * _LINES + 5)
        places, phase, level = draws[:, 5:].view(-1, 3, _LINES).unbind(1)
        pitch, voiced = 80 + 180 * draws[:, :1], draws[:, 4:5] < 0.7
        harmonic = torch.arange(1, _LINES + 1, device=self.device)
        frequency = torch.where(voiced, pitch * harmonic, 100 + 7900 * places)
        amplitude = torch.where(voiced, 1.0, square_root(minus_2_log(level)))
        formants = ((300, 500, 90), (900, 1400, 120), (2300, 900, 170))  # lowest, range, bandwidth in Hz
        for formant, (lowest, width, bandwidth) in enumerate(formants):
            centre = lowest + width * draws[:, formant + 1 : formant + 2]
            x = frequency / centre
            detuning = 1 - x * x
            damping = x * bandwidth / centre
            amplitude = amplitude / square_root(detuning * detuning + damping * damping)
        return frequency, torch.where(frequency < 0.34 * self.knot_rate, amplitude, 0.0), phase
