"""Pulses and phase responses in closed form, NumPy only (P1 §III)."""

from __future__ import annotations

import math

import numpy as np

# SciPy is imported in functions: importing it takes longer than everything else that a plan or a table needs.

INTERPOLATION_SPAN = 12  # knots on either side
NARROWEST = 0.01  # roll-off: the tails of a narrower edge would be too long, so it is shaped as this one


def raised_cosine(t: np.ndarray, rolloff: float) -> np.ndarray:
    """Raised cosine g(t), t in symbols: sinc(t)·cos(παt) / (1 − 4α²t²), with g(±1/2α) = (π/4)·sinc(1/2α) (P1 eq. 1)."""
    t = np.asarray(t, dtype=np.float64)
    denominator = 1 - (2 * rolloff * t) ** 2
    singular = np.abs(denominator) < 1e-9
    regular = np.sinc(t) * np.cos(math.pi * rolloff * t) / np.where(singular, 1, denominator)
    return np.where(singular, math.pi / 4 * np.sinc(t), regular)


def raised_cosine_span(rolloff: float) -> int:
    """Symbols on either side after which less than 10⁻⁵ of a pulse's energy remains, for a roll-off from `NARROWEST`.

    Far from its centre |g(t)| ≤ 1 / (4πα²|t|³), whose square integrates to 1 / (5·(4πα²)²·t⁵) and averages to half.
    """
    return max(8, math.ceil((1e5 / (5 * (4 * math.pi * max(rolloff, NARROWEST) ** 2) ** 2)) ** 0.2))


def root_raised_cosine(t: np.ndarray, rolloff: float) -> np.ndarray:
    """Root raised cosine h(t), t in symbols, of unit energy: convolved with itself, it is a raised cosine.

    h(t) = [sin(π(1−α)t) + 4αt·cos(π(1+α)t)] / [πt·(1 − (4αt)²)], with limits at t = 0 and |t| = 1/4α.
    """
    t = np.asarray(t, dtype=np.float64)
    alpha = rolloff
    centre, singular = np.abs(t) < 1e-9, np.abs(1 - (4 * alpha * t) ** 2) < 1e-7
    denominator = np.where(centre | singular, 1, math.pi * t * (1 - (4 * alpha * t) ** 2))
    numerator = np.sin(math.pi * (1 - alpha) * t) + 4 * alpha * t * np.cos(math.pi * (1 + alpha) * t)
    value = np.where(centre, 1 - alpha + 4 * alpha / math.pi, numerator / denominator)
    if not singular.any():
        return value
    quarter = math.pi / (4 * alpha)
    limit = (1 + 2 / math.pi) * math.sin(quarter) + (1 - 2 / math.pi) * math.cos(quarter)
    return np.where(singular, alpha / math.sqrt(2) * limit, value)


def pulse_span(pulse: str, rolloff: float) -> int:
    """Symbols on either side after which less than 10⁻⁵ of a pulse's energy remains, at least 8."""
    if pulse == "raised_cosine":
        return raised_cosine_span(rolloff)
    # Far from the centre |h(t)| ≤ 1 / (4παt²), whose square integrates to 1 / (3·(4πα)²·t³) and averages to half.
    return max(8, math.ceil((1e5 / (3 * (4 * math.pi * max(rolloff, NARROWEST)) ** 2)) ** (1 / 3)))


def rectangular_phase(t: np.ndarray) -> np.ndarray:
    """Phase response of CPFSK, in symbols: 0 before the symbol, a ramp in it, ½ after it."""
    return np.clip(np.asarray(t, dtype=np.float64), 0, 1) / 2


def raised_cosine_phase(t: np.ndarray, span: int) -> np.ndarray:
    """Phase response of an LRC pulse, t in symbols from 0 to `span`: t/2L − sin(2πt/L)/4π."""
    return t / (2 * span) - np.sin(2 * math.pi * t / span) / (4 * math.pi)


def gaussian_phase(t: np.ndarray, bandwidth_time: float) -> np.ndarray:
    """Phase response of GFSK, in symbols: the integral of a rectangle of one symbol smoothed by a Gaussian filter.

    With σ = √(ln 2) / (2π·BT) symbols and G the integral of the normal distribution function,
    q(t) = ½·(G(t) − G(t − 1)), centred on the symbol [0, 1] like `rectangular_phase`.
    """
    from scipy.special import erf

    sigma = math.sqrt(math.log(2)) / (2 * math.pi * bandwidth_time)

    def integral(x):
        z = x / sigma
        return x * 0.5 * (1 + erf(z / math.sqrt(2))) + sigma * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)

    t = np.asarray(t, dtype=np.float64)
    return (integral(t) - integral(t - 1)) / 2


def interpolation_kernel(t: np.ndarray) -> np.ndarray:
    """Kaiser-windowed sinc, t in knots: interpolates frequencies below 0.35 of the knot rate to 10⁻⁵."""
    from scipy.special import i0

    t = np.asarray(t, dtype=np.float64)
    window = i0(12 * np.sqrt(np.clip(1 - (t / INTERPOLATION_SPAN) ** 2, 0, 1))) / i0(12)
    return np.where(np.abs(t) < INTERPOLATION_SPAN, np.sinc(t) * window, 0)
