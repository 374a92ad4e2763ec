"""Names of modulations in common dataset files, and our names for them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from amc_core.errors import AmcError, printable
from amc_core.modulations import known_name


def modulation_name(name: str) -> str:
    """Our name of a modulation that a file calls `name`; if we have none, the file's, on one line in capitals."""
    return known_name(name) or printable(" ".join(name.split()).upper())


def modulation_names(path: Path, field: str, names: Iterable[str]) -> tuple[str, ...]:
    """Our names of a file's classes, in their order. Raises AmcError for an empty name, or two names of one class."""
    ours = tuple(modulation_name(name) for name in names)
    if not ours or "" in ours or len(set(ours)) < len(ours):
        raise AmcError(f"{path}: {field} are {', '.join(ours)!r}; allowed are one or more modulations, each once")
    return ours
