"""The modulations by name, and the sets of them that the papers classify. Imports no torch.

The user's own modulations are in `own_signals`. `baseband` turns all of them into signals.

P1's public code differs in details that its text does not give: it cuts the Gaussian pulse of GFSK to one symbol, takes
the lower sideband of SSB-AM, and its Rayleigh channel has other gains (a study can give them as its own channel).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial

from amc_core.constellations import CONSTELLATIONS
from amc_core.errors import AmcError, suggest
from amc_core.families import Analogue, ContinuousPhase, Linear
from amc_core.own_signals import OwnModulation
from amc_core.pulses import gaussian_phase, rectangular_phase

LOWEST_AUDIO_RATE = 8000.0  # Hz


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

# Names in common datasets that differ from ours in more than hyphens, case and the position of the order ("QAM16",
# "16-QAM" and "16QAM" are the same). RadioML 2016's WBFM is GNU Radio's wfm_tx, 75 kHz and 75 µs like our B-FM; its
# AM-DSB keeps a carrier, which DSB-AM does not.
_ALIASES = {
    "WBFM": "B-FM",
    "AM-DSB": "DSB-AM",
    "AM-SSB": "SSB-AM",
    "2PSK": "BPSK",
    "4PSK": "QPSK",
}


def _plain(name: str) -> str:
    """A name without hyphens, blanks and case, its order at the end: "16-QAM" → "QAM16"."""
    return re.sub(r"^(\d+)([A-Z]+)$", r"\2\1", re.sub(r"[-_\s]", "", name.upper()))


_KNOWN = {_plain(name): name for name in MODULATIONS} | {_plain(other): name for other, name in _ALIASES.items()}


def known_name(name: str) -> str | None:
    """Our name of a modulation that a file calls `name`, None if we have no such modulation."""
    return _KNOWN.get(_plain(name))


def modulation(name: str) -> Linear | ContinuousPhase | Analogue:
    """The definition of a modulation: that of an `OwnModulation` itself, else its entry in `MODULATIONS`."""
    return name.modulation if isinstance(name, OwnModulation) else MODULATIONS[name]


def modulation_names(selection: str | Iterable[str | Mapping], own: Iterable[str] = ()) -> tuple[str, ...]:
    """The names in a `selection`: a set ("simple", "complex", "radioml2018", "augmod") or a list of modulations.

    The user's own modulation is a mapping {name: {points: …}} or {name: {cpm: …}}, or an `OwnModulation`; those in
    `own` may be selected by name. Raises AmcError for an unknown or repeated name, for an empty list, and for the
    user's own modulation if it is not valid or has the name of another, in any case of letters.
    """
    if isinstance(selection, str):
        if selection in MODULATIONS:
            sets = ", ".join(MODULATION_SETS)
            raise AmcError(f"{selection!r} is one modulation: list several, or name a set ({sets})")
        if selection not in MODULATION_SETS:
            known = [*MODULATION_SETS, *MODULATIONS]
            raise AmcError(f"modulation set {selection!r} is not known{suggest(selection, known)}")
        return MODULATION_SETS[selection]
    known = MODULATIONS | {str(name): name for name in own if isinstance(name, OwnModulation)}
    names = []
    for entry in selection:
        name = modulation_name(entry) if isinstance(entry, str | Mapping) else entry
        if not isinstance(name, str) or not (isinstance(name, OwnModulation) or name in known):
            raise AmcError(f"modulation {name!r} is not known{suggest(name, known)}")
        meant = known.get(name)
        if isinstance(name, OwnModulation) and meant is not None and meant != name:
            raise AmcError(f"two modulations are called {str(name)!r}: give each a name of its own")
        names.append(meant if isinstance(meant, OwnModulation) else name)
    if not names or len(set(map(str, names))) < len(names):
        raise AmcError(f"modulations {list(map(str, names))} are not allowed: name at least one, each once")
    spelled: dict[str, str] = {}
    for name in map(str, (*names, *own)):
        other = spelled.setdefault(name.upper(), name)
        if other != name:
            both = f"modulations {other!r} and {name!r} differ only in case, which labels of files do not distinguish"
            raise AmcError(f"{both}: give each a name of its own")
    return tuple(names)


def modulation_name(entry: str | Mapping) -> str:
    """A string as it is; a mapping {name: content} as an `OwnModulation`.

    Raises AmcError for the user's own modulation if it is not valid or has the name of another.
    """
    if isinstance(entry, Mapping):
        if len(entry) != 1:
            form = "{name: {points: …}} or {name: {cpm: …}}"
            raise AmcError(f"{str(entry)[:200]} is not a modulation: write a name, or {form}")
        [(name, content)] = entry.items()
        entry = OwnModulation(name, content)
    if not isinstance(entry, OwnModulation):
        return str(entry)
    taken = known_name(entry) or next((name for name in MODULATION_SETS if name == entry.lower()), None)
    if taken is not None:
        called = "" if taken.lower() == entry.lower() else f", which is {str(entry)!r} in some files"
        raise AmcError(f"{taken!r} is the name of another modulation{called}: give yours a name of its own")
    return entry


def in_order(names: Iterable[str]) -> list[str]:
    """Names in the order of `MODULATIONS`, then the user's own, sorted by name."""
    names = [*names]
    return [name for name in MODULATIONS if name in names] + sorted(name for name in names if name not in MODULATIONS)


def is_analogue(name: str) -> bool:
    """Does a modulation of this name send audio?"""
    return isinstance(MODULATIONS.get(name), Analogue)


def require_audible(names: Iterable[str], sample_rate: float) -> None:
    """Raise AmcError if an analogue modulation is sampled too slowly for its audio."""
    for name in names:
        if is_analogue(name) and sample_rate < LOWEST_AUDIO_RATE:
            raise AmcError(
                f"{name} sends audio and needs a sample_rate of at least {LOWEST_AUDIO_RATE:g} Hz, not {sample_rate:g}"
            )
