"""The modulations by name, and the sets of them that the papers classify. Imports no torch.

Three families: linear (a constellation and a pulse), continuous-phase (symbols and a phase response), and
analogue (audio on an amplitude or a phase). `baseband` turns them into signals.

P1's public code differs in details that its text does not give: it cuts the Gaussian pulse of GFSK to one symbol, takes
the lower sideband of SSB-AM, and its Rayleigh channel has gains of its own (write them as a channel of your own).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np

from amc_core.constellations import CONSTELLATIONS
from amc_core.errors import AmcError, suggest
from amc_core.pulses import gaussian_phase, rectangular_phase

LOWEST_AUDIO_RATE = 8000.0  # Hz


@dataclass(frozen=True)
class Linear:
    """Symbols of a constellation, shaped by the scenario's raised cosine (P1 eq. 1)."""

    points: np.ndarray  # (M,) complex128, E|z|² = 1
    quadrature_delay: float = 0.0  # symbols by which Q lags I: ½ in offset QPSK


@dataclass(frozen=True)
class ContinuousPhase:
    """Binary CPM: phase 2πh Σ a_k q(t − k), a_k = ±1, t in symbols; constant envelope."""

    index: float  # h
    phase_response: Callable[[np.ndarray], np.ndarray]  # q(t): 0 before `support`, ½ after it
    support: tuple[int, int]  # symbols


@dataclass(frozen=True)
class Analogue:
    """Audio on a carrier; it has no symbols, so upsampling and roll-off do not shape it.

    sidebands: 2 (m(t) on the carrier's amplitude) or 1 (its analytic signal: the upper sideband). carrier: its
        amplitude beside m(t) of rms 0.3; 0 suppresses it. intermediate_frequency: Hz, at most a quarter of the
        sample rate.
    deviation: Hz per unit of audio for frequency modulation, 0 for none. emphasis: s, time constant of
        the pre-emphasis.
    """

    sidebands: int = 0
    carrier: float = 0.0
    intermediate_frequency: float = 0.0
    deviation: float = 0.0
    emphasis: float = 0.0


MODULATIONS: dict[str, Linear | ContinuousPhase | Analogue] = {
    name: Linear(points, quadrature_delay=0.5 if name == "OQPSK" else 0.0) for name, points in CONSTELLATIONS.items()
} | {
    "CPFSK": ContinuousPhase(0.5, rectangular_phase, (0, 1)),
    "GFSK": ContinuousPhase(1.0, partial(gaussian_phase, bandwidth_time=0.35), (-2, 3)),
    "GMSK": ContinuousPhase(0.5, partial(gaussian_phase, bandwidth_time=0.3), (-2, 3)),
    "FM": Analogue(deviation=5e3),
    "AM-DSB-SC": Analogue(sidebands=2),
    "AM-DSB-WC": Analogue(sidebands=2, carrier=1.0),
    "AM-SSB-SC": Analogue(sidebands=1),
    "AM-SSB-WC": Analogue(sidebands=1, carrier=1.0),
    "B-FM": Analogue(deviation=75e3, emphasis=75e-6),
    "DSB-AM": Analogue(sidebands=2, intermediate_frequency=50e3),
    "SSB-AM": Analogue(sidebands=1, intermediate_frequency=50e3),
}

# P1 §IV-A and P2 §II.
_SIMPLE = ("BPSK", "QPSK", "8PSK", "16QAM", "64QAM", "PAM4", "GFSK", "CPFSK", "B-FM", "DSB-AM", "SSB-AM")
_APSK = ("16APSK", "32APSK", "64APSK", "128APSK", "256APSK")
MODULATION_SETS = {
    "simple": _SIMPLE,
    "complex": (*_SIMPLE, "OQPSK", "32QAM", "128QAM", "256QAM", *_APSK),
    "radioml2018": (
        *("OOK", "4ASK", "8ASK", "BPSK", "QPSK", "8PSK", "16PSK", "32PSK", "16APSK", "32APSK", "64APSK", "128APSK"),
        *("16QAM", "32QAM", "64QAM", "128QAM", "256QAM", "AM-SSB-WC", "AM-SSB-SC", "AM-DSB-WC", "AM-DSB-SC"),
        *("FM", "GMSK", "OQPSK"),
    ),
    "augmod": ("BPSK", "QPSK", "8PSK", "8QAM", "16QAM", "32QAM", "64QAM"),
}


def modulation_names(selection: str | list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """The names that `selection` means: a set ("simple", "complex", "radioml2018", "augmod") or a list of modulations.

    Raises AmcError for an unknown or repeated name, or none at all.
    """
    if isinstance(selection, str):
        if selection in MODULATIONS:
            sets = ", ".join(MODULATION_SETS)
            raise AmcError(f"{selection!r} is one modulation: list several, or name a set ({sets})")
        if selection not in MODULATION_SETS:
            known = [*MODULATION_SETS, *MODULATIONS]
            raise AmcError(f"modulation set {selection!r} is not known{suggest(selection, known)}")
        return MODULATION_SETS[selection]
    names = tuple(selection)
    for name in names:
        if not isinstance(name, str) or name not in MODULATIONS:
            raise AmcError(f"modulation {name!r} is not known{suggest(name, MODULATIONS)}")
    if not names or len(set(names)) < len(names):
        raise AmcError(f"modulations {list(names)} are not allowed: name at least one, each once")
    return names


def is_analogue(name: str) -> bool:
    """Does a modulation of this name send audio?"""
    return isinstance(MODULATIONS.get(name), Analogue)


def require_audible(names: Iterable[str], sample_rate: float) -> None:
    """Raise AmcError if an analogue modulation is sampled too slowly for its audio."""
    for name in names:
        if is_analogue(name) and sample_rate < LOWEST_AUDIO_RATE:
            raise AmcError(
                f"{name} sends audio, which takes a sample_rate of {LOWEST_AUDIO_RATE:g} Hz, not {sample_rate:g}"
            )
