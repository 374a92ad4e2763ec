"""Pulses and phase responses in closed form, NumPy only (P1 §III)."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import erf, i0

INTERPOLATION_SPAN = 12  # knots on either side


def raised_cosine(t: np.ndarray, rolloff: float) -> np.ndarray:
    """Raised cosine g(t), t in symbols: sinc(t)·cos(παt) / (1 − 4α²t²), with g(±1/2α) = (π/4)·sinc(1/2α) (P1 eq. 1)."""
    t = np.asarray(t, dtype=np.float64)
    denominator = 1 - (2 * rolloff * t) ** 2
    singular = np.abs(denominator) < 1e-9
    regular = np.sinc(t) * np.cos(math.pi * rolloff * t) / np.where(singular, 1, denominator)
    return np.where(singular, math.pi / 4 * np.sinc(t), regular)


def raised_cosine_span(rolloff: float) -> int:
    """Symbols on either side after which less than 10⁻⁵ of the pulse's energy remains, 8 to 64.

    Far from its centre |g(t)| ≤ 1 / (4πα²|t|³), whose square integrates to 1 / (5·(4πα²)²·t⁵) and averages to half.
    """
    if rolloff == 0:
        return 64
    return int(np.clip(math.ceil((1e5 / (5 * (4 * math.pi * rolloff**2) ** 2)) ** 0.2), 8, 64))


def rectangular_phase(t: np.ndarray) -> np.ndarray:
    """Phase response of CPFSK, in symbols: 0 before the symbol, a ramp in it, ½ after it."""
    return np.clip(np.asarray(t, dtype=np.float64), 0, 1) / 2


def gaussian_phase(t: np.ndarray, bandwidth_time: float) -> np.ndarray:
    """Phase response of GFSK, in symbols: the integral of a rectangle of one symbol smoothed by a Gaussian filter.

    With σ = √(ln 2) / (2π·BT) symbols and G the integral of the normal distribution function,
    q(t) = ½·(G(t) − G(t − 1)), centred on the symbol [0, 1] like `rectangular_phase`.
    """
    sigma = math.sqrt(math.log(2)) / (2 * math.pi * bandwidth_time)

    def integral(x):
        z = x / sigma
        return x * 0.5 * (1 + erf(z / math.sqrt(2))) + sigma * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)

    t = np.asarray(t, dtype=np.float64)
    return (integral(t) - integral(t - 1)) / 2


def interpolation_kernel(t: np.ndarray) -> np.ndarray:
    """Kaiser-windowed sinc, t in knots: interpolates what lies below 0.35 of the knot rate to 10⁻⁵."""
    t = np.asarray(t, dtype=np.float64)
    window = i0(12 * np.sqrt(np.clip(1 - (t / INTERPOLATION_SPAN) ** 2, 0, 1))) / i0(12)
    return np.where(np.abs(t) < INTERPOLATION_SPAN, np.sinc(t) * window, 0)
