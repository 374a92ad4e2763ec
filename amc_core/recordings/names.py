"""What the field's files call a modulation, and our name for it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from amc_core.errors import AmcError, printable
from amc_core.modulations import MODULATIONS

# Names that differ from ours in more than hyphens and the place of the order ("QAM16", "16-QAM" and "16QAM" are one).
# RadioML 2016's WBFM is GNU Radio's wfm_tx, 75 kHz and 75 µs as our B-FM; its AM-DSB keeps a carrier, which DSB-AM
# does not.
ALIASES = {
    "WBFM": "B-FM",
    "AM-DSB": "DSB-AM",
    "AM-SSB": "SSB-AM",
    "2PSK": "BPSK",
    "4PSK": "QPSK",
}


def _plain(name: str) -> str:
    """A name without hyphens, blanks and case, its order at the end: "16-QAM" → "QAM16"."""
    return re.sub(r"^(\d+)([A-Z]+)$", r"\2\1", re.sub(r"[-_\s]", "", name.upper()))


_KNOWN = {_plain(name): name for name in MODULATIONS} | {_plain(other): name for other, name in ALIASES.items()}


def known_name(name: str) -> str | None:
    """Our name of a modulation that a file calls `name`, None where we have no such modulation."""
    return _KNOWN.get(_plain(name))


def modulation_name(name: str) -> str:
    """Our name of a modulation that a file calls `name`; where we have none, the file's, on one line in capitals."""
    return known_name(name) or printable(" ".join(name.split()).upper())


def modulation_names(path: Path, field: str, names: Iterable[str]) -> tuple[str, ...]:
    """Our names of a file's classes, in their order. Raises AmcError for an empty name, or two of one meaning."""
    ours = tuple(modulation_name(name) for name in names)
    if not ours or "" in ours or len(set(ours)) < len(ours):
        raise AmcError(f"{path}: {field} are {', '.join(ours)!r}; allowed are one or more modulations, each once")
    return ours
