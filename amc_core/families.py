"""The three families of modulations: linear, continuous-phase and analogue. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Linear:
    """Symbols of a constellation, shaped by the scenario's raised cosine (P1 eq. 1)."""

    points: np.ndarray  # (M,) complex128, E|z|² = 1
    quadrature_delay: float = 0.0  # symbols by which Q lags I: ½ in offset QPSK


@dataclass(frozen=True)
class ContinuousPhase:
    """CPM: phase 2πh Σ a_k q(t − k), a_k = ±1, ±3, …, ±(levels − 1), t in symbols; constant envelope."""

    index: float  # h
    phase_response: Callable[[np.ndarray], np.ndarray]  # q(t): 0 before `support`, ½ after it
    support: tuple[int, int]  # symbols
    levels: int = 2


@dataclass(frozen=True)
class Analogue:
    """Audio on a carrier. It has no symbols, so upsampling and roll-off do not shape it.

    sidebands: 2 (m(t) modulates the carrier's amplitude) or 1 (its analytic signal: the upper sideband). carrier: its
        amplitude, where m(t) has rms 0.3; 0 suppresses it. intermediate_frequency: Hz, at most a quarter of the
        sample rate.
    deviation: Hz per unit of audio for frequency modulation, 0 for none. emphasis: s, time constant of
        the pre-emphasis.
    """

    sidebands: int = 0
    carrier: float = 0.0
    intermediate_frequency: float = 0.0
    deviation: float = 0.0
    emphasis: float = 0.0
