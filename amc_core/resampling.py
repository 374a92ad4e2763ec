"""Blind resampling: a receiver estimates an unknown symbol rate and resamples to known samples per symbol.

|x|² of a linear modulation has a spectral line at the symbol rate R (W. Gardner, IEEE Trans. Commun. 39, 1991). It
comes from the edges of the band, where X(R/2 + u) and X(−R/2 + u) carry the same symbols; other frequencies only add
noise. So the line is searched for behind a filter that passes only the edges, scaled to the same power, at every rate
that the occupied band allows. OQPSK's line cancels (that of Q is opposite to that of I), GFSK's is weak, and analogue
modulations have no symbol rate: if no line is significant, the rate follows from the width of the occupied band.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from amc_core.stages import Batch, Stage

SLOWEST, FASTEST = 64.0, 1.2  # samples per symbol between which a symbol rate is searched for
_PADDING = 4  # of the spectrum: rates are half the instance's resolution apart
_EDGE = 0.12  # half the width of an edge, in symbol rates: the overlap at a roll-off of 0.24
_SMOOTHING = 4  # bins on either side, over which the power at an edge is averaged
_DEPENDENCE = 1.94  # bins of a Hann window overlap: Σ ρ⁴ of neighbours, ρ = 2/3 and 1/6
_FALSE_LINE = 0.01  # probability of a false line
_NO_BAND = 8.0  # log likelihood ratio of a band against white noise, below which there is no band
_OF_BAND = (0.75, 1.15)  # a symbol rate lies between these multiples of the occupied band
_WIDENING = 1.05  # occupied band over symbol rate: 1 at a low SNR, up to 1 + roll-off at a high one
_OVERSAMPLING = 4  # before samples are interpolated


class BlindResampling(Stage):
    """Resamples each instance to `resample_to` samples per symbol of its estimated symbol rate, at the same length.

    A filter removes frequencies beyond ±R, twice the band of the symbols. An instance that becomes longer is cut; one
    that becomes shorter repeats itself. If no band exceeds the noise significantly, the instance stays as it is.
    """

    fields = ("resample_to",)

    def __call__(self, signal: torch.Tensor, batch: Batch) -> torch.Tensor:
        # NumPy computes row by row, so that an instance depends neither on its batch nor on the device.
        i, q = signal.double().cpu().numpy().transpose(1, 0, 2)
        x = i + 1j * q
        for row, rate in enumerate(symbol_rates(x)):
            if rate > 0:
                x[row] = resampled(x[row], rate, self.setting.scenario.resample_to)
        return torch.as_tensor(np.stack([x.real, x.imag], 1), dtype=signal.dtype, device=signal.device)


def symbol_rates(x: np.ndarray) -> np.ndarray:
    """Estimates of the symbol rate in symbols per sample, without knowing the modulation, the roll-off or the SNR.

    x: (batch, length) complex128, its band centred on 0. Returns (batch,) float64; 0 if no band exceeds the noise.
    """
    batch, length = x.shape
    window = 0.5 - 0.5 * np.cos(2 * math.pi * (np.arange(length) + 0.5) / length)
    spectrum = np.fft.fftshift(np.fft.fft(x * window, _PADDING * length, axis=1), axes=1)
    power = spectrum.real**2 + spectrum.imag**2
    band = occupied_band(power[:, ::_PADDING])
    edges = spectrum / np.sqrt(_smoothed(power, _PADDING * _SMOOTHING) + 1e-300)
    edges = edges.reshape(batch, length, _PADDING).transpose(2, 0, 1).copy()  # bin 4k + r at [r, :, k]
    steps = np.arange(max(2, round(2 * length / SLOWEST)), round(2 * length / FASTEST) + 1)  # of 1 / (2·length)
    rates = steps / (2 * length)
    sought = (rates[:, None] >= _OF_BAND[0] * band) & (rates[:, None] <= _OF_BAND[1] * band)
    lines = np.zeros((len(steps), batch))
    for index, step in enumerate(steps):
        rows = np.flatnonzero(sought[index])
        if len(rows):
            lines[index, rows] = _line(edges, rows, int(step))
    by_line = rates[lines.argmax(0)]
    # Without a line, the power exceeds x with probability exp(−x).
    stands_out = lines.max(0) > np.log(np.maximum(sought.sum(0), 1) / _FALSE_LINE)
    return np.where(band > 0, np.where(stands_out, by_line, band / _WIDENING), 0.0)


def occupied_band(power: np.ndarray) -> np.ndarray:
    """The width, in cycles per sample, of the band in which instances have more power than outside of it.

    power: (batch, length) of their spectra, frequencies rising from −1/2. The band is the most likely one around 0, if
    power is exponentially distributed with one mean inside and another outside; 0 if white noise is about as likely.
    """
    length = power.shape[1]
    folded = power[:, length // 2 :].copy()
    folded[:, 1:] += power[:, 1 : length // 2 + length % 2][:, ::-1][:, : folded.shape[1] - 1]
    within, total = folded.cumsum(1), folded.sum(1, keepdims=True)
    bins = 2 * np.arange(folded.shape[1]) + 1
    inside, outside = slice(4, -3), bins[-1] - bins[4:-3]
    means = within[:, inside] / bins[inside], (total - within[:, inside]) / outside
    likelihood = -(bins[inside] * np.log(means[0] + 1e-300) + outside * np.log(means[1] + 1e-300))
    white = -bins[-1] * np.log(total[:, 0] / bins[-1] + 1e-300)
    best = likelihood.argmax(1)
    rising = likelihood.max(1) - white > _NO_BAND
    denser = np.take_along_axis(means[0] > means[1], best[:, None], 1)[:, 0]
    return np.where(rising & denser, bins[inside][best] / length, 0.0)


def resampled(x: np.ndarray, rate: float, samples_per_symbol: float) -> np.ndarray:
    """An instance (length,) complex128 resampled from its symbol rate to other samples per symbol, as if periodic."""
    length = len(x)
    widest = min(rate, rate * samples_per_symbol / 2)
    spectrum = np.where(np.abs(np.fft.fftfreq(length)) <= widest, np.fft.fft(x), 0)
    padded = np.zeros(_OVERSAMPLING * length, complex)
    half = (length + 1) // 2
    padded[:half], padded[half - length :] = spectrum[:half], spectrum[half - length :]
    fine = np.fft.ifft(padded) * _OVERSAMPLING
    return _between(fine, np.arange(length) * (_OVERSAMPLING / (rate * samples_per_symbol)))


def _line(edges: np.ndarray, rows: np.ndarray, step: int) -> np.ndarray:
    """The power of the line at step / (2·length) in some rows, relative to its mean without a line."""
    length = edges.shape[2]
    half = max(1, int(_EDGE * step / 2))
    (upper, above), (lower, below) = ((step % _PADDING, step // _PADDING), (-step % _PADDING, -step // _PADDING))
    first, beyond = max(0, half - length // 2 - below), max(0, above + half + 1 - length + length // 2)
    width = 2 * half + 1 - first - beyond
    above, below = (length // 2 + offset - half + first for offset in (above, below))
    pairs = edges[upper, rows, above : above + width], edges[lower, rows, below : below + width].conj()
    return np.abs((pairs[0] * pairs[1]).sum(1)) ** 2 / (width * _DEPENDENCE)


def _smoothed(power: np.ndarray, reach: int) -> np.ndarray:
    """The moving average over `reach` bins on either side of a periodic spectrum."""
    padded = np.pad(power, ((0, 0), (reach, reach)), mode="wrap").cumsum(1)
    padded = np.pad(padded, ((0, 0), (1, 0)))
    width = 2 * reach + 1
    return (padded[:, width:] - padded[:, :-width]) / width


def _between(fine: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Values between the samples of a periodic signal, by cubic convolution (R. Keys, IEEE Trans. ASSP 29, 1981)."""
    whole = np.floor(times).astype(np.int64)
    t = times - whole
    a, b, c, d = (fine.take(whole + shift, mode="wrap") for shift in (-1, 0, 1, 2))
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
