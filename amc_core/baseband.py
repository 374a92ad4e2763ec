"""Baseband signals of the three families of modulations, evaluated at every path delay of a channel.

Each class is the first stage of one setting: it is given no signal and returns I and Q of a batch, each
(batch, paths, length) float32. P1 §III, eq. 1.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import torch

from amc_core.audio import Recorded, SpeechLike, knot_rate
from amc_core.device import carried
from amc_core.distributions import Distribution, extremes
from amc_core.exactmath import cos_sin
from amc_core.families import Analogue, ContinuousPhase, Linear
from amc_core.pulse_train import FixedTrain, Pulse, Sampling, VariedTrain
from amc_core.pulses import (
    INTERPOLATION_SPAN,
    NARROWEST,
    interpolation_kernel,
    pulse_span,
    raised_cosine,
    root_raised_cosine,
)
from amc_core.randomness import SYMBOLS, integers
from amc_core.stages import Batch, Draws, Setting, Stage

_LONGEST_BLOCK = 2048  # samples


class _Train:
    """A pulse train at the sampling times of a setting, which are the same for all instances or drawn for each.

    pulses: roll-off → pulse; rolloffs: the smallest and the largest roll-off. unit_rate: pulses a second, None for the
    symbol rate. lag: (paths,) additional delay of each path, in pulses.
    """

    def __init__(
        self,
        setting: Setting,
        pulses: Callable[[float], Pulse],
        support: tuple[int, int],
        rolloffs: tuple[float, float] = (0, 0),
        unit_rate: float | None = None,
        lag: np.ndarray | float = 0.0,
    ):
        scenario = setting.scenario
        self.delays, self.lag = setting.delays, lag
        self.sample_rate, self.unit_rate = scenario.sample_rate, unit_rate
        names = ("upsampling", "rolloff", "timing_offset", "sample_rate_offset")
        ranges = {name: extremes(getattr(scenario, name)) for name in names}
        if not isinstance(scenario.upsampling, Distribution):
            ranges["upsampling"] = extremes(float(scenario.samples_per_symbol))
        corners = [corner.ravel() for corner in np.meshgrid(*ranges.values())]
        sampling = self.sampling(dict(zip(names, corners, strict=True)))
        self.end = (sampling.start.max(1) + setting.length * sampling.step).min()  # of the instance that ends first
        self.varies = any(isinstance(getattr(scenario, name), Distribution) for name in names)
        if not self.varies:
            per_unit = Fraction(self.sample_rate) / Fraction(unit_rate) if unit_rate else scenario.samples_per_symbol
            per_unit *= 1 + Fraction(scenario.sample_rate_offset) / 10**6
            # A ratio of large numbers does not repeat in an instance; a matrix for all of a long one is too large.
            self.varies = min(per_unit.numerator, setting.length) > _LONGEST_BLOCK
        if self.varies:
            starts, steps = ((x.min(), x.max()) for x in (sampling.start, sampling.step))
            self.train = VariedTrain(pulses, support, rolloffs, starts, steps, setting.length, setting.device)
        else:
            pulse, delays = pulses(rolloffs[0]), -sampling.start[0]
            self.train = FixedTrain(pulse, support, per_unit, delays, setting.length, setting.device)

    @property
    def first(self) -> int:
        return self.train.first

    @property
    def count(self) -> int:
        return self.train.count

    def sampling(self, draws: Draws) -> Sampling:
        symbol_rate = self.sample_rate / draws["upsampling"]
        rate = symbol_rate if self.unit_rate is None else np.full_like(symbol_rate, self.unit_rate)
        late = draws["timing_offset"] / symbol_rate
        start = -(late[:, None] + self.delays) * rate[:, None] - self.lag
        step = rate / (self.sample_rate * (1 + 1e-6 * draws["sample_rate_offset"]))
        return Sampling(start, step, draws["rolloff"])

    def times(self, draws: Draws) -> tuple | None:
        """Sampling times of a batch, the argument of `__call__`; None if they are the same for all instances."""
        return self.train.at(self.sampling(draws)) if self.varies else None

    def __call__(self, symbols: torch.Tensor, times: tuple | None, older: torch.Tensor | None = None) -> torch.Tensor:
        return self.train(symbols, times, older)


class LinearBaseband(Stage):
    """Linear modulations of one setting that share the delay of Q; each instance has a constellation of its own."""

    def __init__(self, modulations: list[Linear], setting: Setting):
        sizes = [len(modulation.points) for modulation in modulations]
        self.sizes = torch.as_tensor(sizes, device=setting.device)
        self.starts = torch.as_tensor(np.cumsum([0, *sizes[:-1]]), device=setting.device)
        points = np.concatenate([modulation.points for modulation in modulations])
        self.i_points = torch.tensor(points.real, dtype=torch.float32, device=setting.device)
        self.q_points = torch.tensor(points.imag, dtype=torch.float32, device=setting.device)
        scenario, self.paths = setting.scenario, len(setting.delays)
        shape = raised_cosine if scenario.pulse == "raised_cosine" else root_raised_cosine
        rolloffs = extremes(scenario.rolloff)
        span = scenario.pulse_span or pulse_span(scenario.pulse, rolloffs[0])

        def pulses(rolloff: float) -> Pulse:
            return lambda t: np.where(np.abs(t) <= span, shape(t, max(rolloff, NARROWEST)), 0)

        lag = 0.0
        if modulations[0].quadrature_delay:  # a second set of paths, for Q
            lag = np.repeat([0.0, modulations[0].quadrature_delay], self.paths)
            setting = Setting(scenario, np.tile(setting.delays, 2), setting.length, setting.device)
        self.train = _Train(setting, pulses, (-span, span), rolloffs, lag=lag)

    def __call__(self, signal: None, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        sizes, starts = self.sizes[batch.kind], self.starts[batch.kind]
        labels = integers(batch.keys, batch.indices, SYMBOLS, self.train.count, sizes) + starts[:, None]
        times = self.train.times(batch.draws)
        i, q = (self.train(points.take(labels), times) for points in (self.i_points, self.q_points))
        return i[:, : self.paths], q[:, -self.paths :]


class ContinuousPhaseBaseband(Stage):
    """One CPM modulation of one setting."""

    def __init__(self, modulation: ContinuousPhase, setting: Setting):
        def turns(t: np.ndarray) -> np.ndarray:
            return modulation.index * modulation.phase_response(t)

        self.index, self.levels = modulation.index, modulation.levels
        self.train = _Train(setting, lambda rolloff: turns, modulation.support)

    def __call__(self, signal: None, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        levels = torch.full_like(batch.indices, self.levels)
        symbols = self.levels - 1 - 2 * integers(batch.keys, batch.indices, SYMBOLS, self.train.count, levels)
        # Symbols whose response is over have turned the phase by a_k h/2 each; whole turns are dropped.
        older = ((symbols.cumsum(1) - symbols).double() * (self.index / 2) % 1).to(torch.float32)
        return cos_sin(self.train(symbols.to(torch.float32), self.train.times(batch.draws), older))


class AnalogueBaseband(Stage):
    """One analogue modulation of one setting, on audio drawn from the address."""

    def __init__(self, modulation: Analogue, setting: Setting):
        scenario, self.modulation = setting.scenario, modulation
        rate, support = knot_rate(scenario.sample_rate), (-INTERPOLATION_SPAN, INTERPOLATION_SPAN)
        self.train = _Train(setting, lambda rolloff: interpolation_kernel, support, unit_rate=rate)
        times = (np.arange(self.train.count) + self.train.first) / rate
        if scenario.audio:
            self.audio = Recorded(scenario.audio, times, scenario.sample_rate, setting.device, setting.stretch)
        else:
            self.audio = SpeechLike(times, scenario.sample_rate, self.train.end / rate, setting.device)
        frequency = min(modulation.intermediate_frequency, scenario.sample_rate / 4)
        self.cycles_per_knot = frequency / rate
        self.samples = torch.arange(setting.length, dtype=torch.float64, device=setting.device)
        self.carrier = None

    def __call__(self, signal: None, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        modulation, times = self.modulation, self.train.times(batch.draws)
        if modulation.deviation:
            swing = self.audio.integral(batch.keys, batch.indices, modulation.emphasis)
            return cos_sin(self.train(modulation.deviation * swing, times))
        message, quadrature = self.audio.analytic(batch.keys, batch.indices)
        i = modulation.carrier + self.train(message, times)
        q = self.train(quadrature, times) if modulation.sidebands == 1 else None
        if not self.cycles_per_knot:
            return i, torch.zeros_like(i) if q is None else q
        cos, sin = self._carrier(batch.draws)
        return (i * cos, i * sin) if q is None else (i * cos - q * sin, i * sin + q * cos)

    def _carrier(self, draws: Draws) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosine and sine of the intermediate frequency at the sampling times, (batch or 1, paths, length)."""
        if self.carrier is not None:
            return self.carrier
        sampling = self.train.sampling(draws)
        start, step = (carried(torch.as_tensor(x), self.samples.device) for x in (sampling.start, sampling.step))
        if not self.train.varies:
            start, step = start[:1], step[:1]
        turns = self.cycles_per_knot * (start[:, :, None] + step[:, None, None] * self.samples)
        carrier = cos_sin((turns - turns.round()).to(torch.float32))
        self.carrier = None if self.train.varies else carrier
        return carrier
