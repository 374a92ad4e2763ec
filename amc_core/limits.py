"""The upper bound on the accuracy of any classifier: that of the likelihood classifier that knows all but the symbols.

A linear modulation is received as Σ_k a_k g(t − k) in white noise. The matched filter's outputs are a sufficient
statistic of the modulation. Their noise-free part is a matrix times the symbols, and its eigenvalues lie on the folded
spectrum S(f) = Σ_m |H·G|²(f + m) of pulse and channel. An experiment that observes every symbol separately, at
γ = L·SNR·max S / mean S, is at least as easy, since the extra noise of the real one can be added to it. So the accuracy
of the likelihood classifier of K independent symbols at γ is an upper bound. CPM, OQPSK and analogue modulations
count as always recognised, so it remains a bound. SNR is over the sampled band, so a matched filter sees Es/N0 = L·SNR.
Power is the mean over the ensemble; the simulator scales noise to the power of each instance (0.14 dB at L = 8), which
is left out.

What a receiver does after the noise (I/Q imbalance, DC offset, clipping, quantisation, scaling) can only lose
information, and a known phase noise is undone, so the bound without them holds with them. If the noise is relative
to the average over fading, γ = L·SNR·max S / mean |G|², where |G|² is the pulse alone. No bound is known for an
amplifier that compresses and for impulsive noise.
"""

from __future__ import annotations

import functools
import math
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from amc_core.channels import Fading
from amc_core.coverage import eased, is_linear, why_unknown
from amc_core.distributions import extremes
from amc_core.errors import AmcError
from amc_core.identity import key
from amc_core.modulations import in_order, modulation_names
from amc_core.pulses import pulse_span, raised_cosine, root_raised_cosine
from amc_core.recognition import Likelihood, Reception, Recognition, estimate
from amc_core.scenario import Mixture, Scenario
from amc_core.stages import Draws

_INSTANTS = 8  # times in an instance at which the spectrum of a fading channel is taken
_LEFT_OUT = 1 / 8  # symbols: how much of those before and after the instance K may leave out


@dataclass(frozen=True)
class UpperBound:
    """An upper bound on the accuracy of any classifier on a test dataset, per SNR.

    by_snr: one `Recognition` per SNR, of all modulations. recognised: the modulations that count as always recognised.
    """

    snrs_db: tuple[float, ...]
    by_snr: tuple[Recognition, ...]
    recognised: tuple[str, ...]

    @property
    def accuracy(self) -> np.ndarray:
        """(SNRs,) float64: the mean of the largest posterior."""
        return np.array([one.accuracy for one in self.by_snr])

    @property
    def standard_error(self) -> np.ndarray:
        """(SNRs,) float64: the standard error of `accuracy`."""
        return np.array([one.standard_error for one in self.by_snr])

    @property
    def hit_rate(self) -> np.ndarray:
        """(SNRs,) float64: the share of instances that the likelihood classifier recognised."""
        return np.array([one.hit_rate for one in self.by_snr])


def upper_bound(
    scenario: Scenario | Mixture,
    modulations: str | Sequence[str],
    snrs_db: Sequence[float],
    length: int,
    standard_error: float = 0.004,
    device: torch.device | str = "cpu",
    known: MutableMapping[str, Recognition] | None = None,
) -> UpperBound:
    """The upper bound on the accuracy of any classifier on a test dataset, per SNR.

    Parameters:
        scenario, modulations, snrs_db, length: Of the test dataset; SNRs in dB over the band, length in samples.
        standard_error: The Monte-Carlo standard error of the accuracy at each SNR, from 1e-4 to 0.1.
        device: The torch device that computes.
        known: The mapping in which results are looked up and kept; by default one that lives as long as the process.

    Returns:
        An `UpperBound`; its `accuracy` and `standard_error` are arrays of shape (SNRs,).

    Raises:
        AmcError: No bound is known for the scenario (`coverage.why_unknown`), or standard_error is out of its range.

    Source:
        The likelihood classifier of independent symbols, at the best Es/N0 of the folded spectrum of pulse and channel:
        log p(z | m) = log (1/M) Σ_s exp(−γ|z − s|²) for each symbol z and the M points s of modulation m.
    """
    names = modulation_names(modulations)
    reason = why_unknown(scenario, names, length)
    if reason:
        raise AmcError(reason)
    if not 1e-4 <= standard_error <= 0.1:
        raise AmcError(f"standard_error {standard_error!r} is not allowed: it has to be from 0.0001 to 0.1")
    known = _KNOWN if known is None else known
    linear = tuple(name for name in in_order(names) if is_linear(name))
    others = tuple(name for name in names if name not in linear)
    wanted = standard_error * len(names) / len(linear)
    weights = scenario.weights if isinstance(scenario, Mixture) else (1.0,)
    by_snr = []
    for snr_db in snrs_db:
        parts = []
        for component in map(eased, scenario.components):
            address = key("limit", component, linear, float(snr_db), length, wanted)
            if address not in known:
                known[address] = _bound(component, linear, float(snr_db), length, wanted, device)
            parts.append(known[address])
        by_snr.append(_mean(parts, weights).among(len(linear), len(others)))
    return UpperBound(tuple(float(snr) for snr in snrs_db), tuple(by_snr), others)


_KNOWN: dict[str, Recognition] = {}


def _bound(
    scenario: Scenario, linear: tuple[str, ...], snr_db: float, length: int, standard_error: float, device
) -> Recognition:
    """The bound of linear modulations in one scenario at one SNR."""
    likelihood = Likelihood(linear, device)
    reception = functools.partial(_receive, scenario, length, likelihood.means.numpy())
    described = (scenario, length)  # without the SNR, so that symbols, channels and noise are the same at each
    return estimate(likelihood, linear, reception, 10 ** (min(snr_db, 200) / 10), described, standard_error)


def _receive(scenario: Scenario, length: int, means: np.ndarray, keys: torch.Tensor, indices: torch.Tensor):
    """The `Reception` of a batch of addresses, at L·max S / mean S; K is ⌈N/L⌉ and the symbols whose tails reach in."""
    draws = Draws(scenario, keys, indices)
    per_symbol = draws["upsampling"] * (1 + 1e-6 * draws["sample_rate_offset"])
    outside = _outside(scenario.pulse, extremes(scenario.rolloff)[0])
    delay = max(scenario.paths.path_delays, default=0.0) * scenario.sample_rate
    symbols = np.ceil(length / per_symbol - 1e-9) + outside + np.ceil(delay / per_symbol - 1e-9)
    peak, mean, direct = _spectrum(scenario, length, draws)
    if scenario.snr_reference == "average":
        _, mean, direct = _spectrum(replace(scenario, channel="awgn"), length, draws)
    # The mean of a constellation is a constant, which passes at 0 Hz; the rest is spread over S(f).
    power = np.outer(mean, 1 - means**2) + np.outer(direct, means**2)
    gain = peak * (per_symbol / mean)[:, None]
    return Reception(symbols.astype(np.int64), gain, np.sqrt(mean[:, None] / power))


def _spectrum(scenario: Scenario, length: int, draws: Draws) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The folded spectrum S(f): its largest value at some times, (batch, times), its mean, and |H|² at 0 Hz."""
    rates = scenario.sample_rate / draws["upsampling"]  # symbols a second
    rolloff, delays = draws["rolloff"][:, None], np.asarray(scenario.paths.path_delays)
    points = 64 * (1 + math.ceil(delays.max(initial=0) * rates.max()))
    frequency = np.arange(-points // 2, points // 2) / points  # cycles a symbol
    folds = [(m + frequency, _pulse_power(scenario.pulse, m + frequency, rolloff)) for m in (-1, 0, 1)]
    if not len(delays):
        spectrum = sum(power for _, power in folds)
        return spectrum.max(1, keepdims=True), spectrum.mean(1), np.ones(len(rates))
    gains = Fading(scenario.paths, scenario.sample_rate, length).gains(draws.keys_of, draws.indices)
    middles = (np.arange(_INSTANTS) + 0.5) * length / _INSTANTS
    gains = gains[..., middles.astype(int)].double().numpy()
    paths = (gains[:, :, 0] + 1j * gains[:, :, 1]).transpose(0, 2, 1)  # (batch, instants, paths)
    spectrum = np.zeros((*paths.shape[:2], points))
    for cycles, power in folds:
        turns = delays[:, None] * rates[:, None, None] * cycles  # (batch, paths, frequencies)
        spectrum += np.abs(paths @ np.exp(-2j * math.pi * turns)) ** 2 * power[:, None]
    return spectrum.max(2), spectrum.mean((1, 2)), (np.abs(paths.sum(2)) ** 2).mean(1)


def _pulse_power(pulse: str, frequency: np.ndarray, rolloff: np.ndarray) -> np.ndarray:
    """|G(f)|² of a pulse, f in cycles a symbol; a raised cosine has the square of its root's."""
    edge = np.clip((np.abs(frequency) - (1 - rolloff) / 2) / np.maximum(rolloff, 1e-12), 0, 1)
    amplitude = (1 + np.cos(math.pi * edge)) / 2
    return amplitude if pulse == "root_raised_cosine" else amplitude**2


@functools.cache
def _outside(pulse: str, rolloff: float) -> int:
    """How many symbols before and after an instance count as seen, because the tails of their pulses reach in.

    It is the smallest even number from 4, half on either side, for which the other rows of the Gram matrix sum to
    at most _LEFT_OUT.
    """
    span, per_symbol = pulse_span(pulse, rolloff), 8
    shape = raised_cosine if pulse == "raised_cosine" else root_raised_cosine
    symbols = np.arange(-span, 3 * span)  # the instance begins at 0 and lasts for two spans
    t = np.arange(2 * span * per_symbol)[:, None] / per_symbol - symbols
    matrix = np.where(np.abs(t) <= span, shape(t, rolloff), 0)
    before = np.abs(matrix.T @ matrix).sum(1)[:span][::-1] / per_symbol  # the nearest symbol first
    left_out = 2 * (before.sum() - np.cumsum(before))
    return 2 * max(2, 1 + int(np.argmax(left_out <= _LEFT_OUT)))


def _mean(parts: Sequence[Recognition], weights: Sequence[float]) -> Recognition:
    """The mean of independent accuracies with these weights, which sum to 1."""
    pairs = list(zip(parts, weights, strict=True))
    return Recognition(
        sum(w * one.accuracy for one, w in pairs),
        math.hypot(*(w * one.standard_error for one, w in pairs)),
        sum(w * one.hit_rate for one, w in pairs),
        math.hypot(*(w * one.hit_rate_error for one, w in pairs)),
        sum(one.instances for one in parts),
    )
