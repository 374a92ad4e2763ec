"""A speech-like source drawn from the address, for the analogue modulations.

The source is a sum of spectral lines: harmonics of a pitch (voiced speech) or lines anywhere (unvoiced), shaped by
the resonances of three formants. Line by line, its analytic signal, its integral and its pre-emphasis are exact.
"""

from __future__ import annotations

import math

import torch

from amc_core.exactmath import cos_sin, minus_2_log, square_root
from amc_core.randomness import SOURCE, uniform

RMS = 0.3  # of full scale, which is what the deviation of a frequency modulation refers to
_KNOT_RATE = 32_000  # Hz
_HIGHEST = 0.34  # frequency of the highest line, in knot rates: what the interpolation keeps
_LINES = 32
_FORMANTS = ((300, 500, 90), (900, 1400, 120), (2300, 900, 170))  # lowest, range and bandwidth in Hz


class Audio:
    """The source at the knots of an interpolation, `knot_rate` a second."""

    def __init__(self, sample_rate: float, device: torch.device | str = "cpu"):
        self.knot_rate = min(_KNOT_RATE, sample_rate)
        self.harmonics = torch.arange(1, _LINES + 1, device=device)

    def analytic(
        self, keys: torch.Tensor, indices: torch.Tensor, times: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The source m(t) and its Hilbert transform at `times`, s (knots,): each (batch, knots) float32, of `RMS`."""
        frequency, amplitude, phase = self._lines(keys, indices)
        cos, sin = cos_sin(frequency[:, None] * times[:, None] + phase[:, None])  # (batch, knots, lines)
        weight = (amplitude * (RMS / _rms(amplitude)))[:, None]
        return (weight * cos).sum(2), (weight * sin).sum(2)

    def integral(self, keys: torch.Tensor, indices: torch.Tensor, times: torch.Tensor, emphasis: float) -> torch.Tensor:
        """∫ m(t) dt at `times`, (batch, knots), after pre-emphasis by (1 + j2πfT) with time constant T in s."""
        frequency, amplitude, phase = self._lines(keys, indices)
        cos, sin = cos_sin(frequency[:, None] * times[:, None] + phase[:, None])
        boost = 2 * math.pi * emphasis * frequency
        scale = RMS / _rms(amplitude * square_root(1 + boost * boost))
        weight = (amplitude * scale / (2 * math.pi * frequency))[:, None]
        return (weight * (sin + boost[:, None] * cos)).sum(2)

    def _lines(self, keys: torch.Tensor, indices: torch.Tensor):
        """Frequency in Hz, amplitude, and phase in turns of the source's lines, each (batch, lines)."""
        draws = uniform(keys, indices, SOURCE, 3 * _LINES + 5)
        places, phase, level = draws[:, 5:].view(-1, 3, _LINES).unbind(1)
        pitch, voiced = 80 + 180 * draws[:, :1], draws[:, 4:5] < 0.7
        frequency = torch.where(voiced, pitch * self.harmonics, 100 + 7900 * places)
        amplitude = torch.where(voiced, 1.0, square_root(minus_2_log(level)))
        for formant, (lowest, width, bandwidth) in enumerate(_FORMANTS):
            centre = lowest + width * draws[:, formant + 1 : formant + 2]
            x = frequency / centre
            detuning, damping = 1 - x * x, x * bandwidth / centre
            amplitude = amplitude / square_root(detuning * detuning + damping * damping)
        return frequency, torch.where(frequency < _HIGHEST * self.knot_rate, amplitude, 0.0), phase


def _rms(amplitude: torch.Tensor) -> torch.Tensor:
    """Root mean square of a sum of lines, (batch, 1)."""
    return square_root((amplitude * amplitude).sum(1, keepdim=True) / 2)
