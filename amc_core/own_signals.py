"""The user's own modulations, as data: a constellation by its points, or CPM by its levels, index and pulse.

The definition of a modulation travels with its name, and is part of every address and key. Imports no torch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cached_property, partial
from typing import Any

import numpy as np

from amc_core.constellations import normalised
from amc_core.errors import AmcError, require_known
from amc_core.families import ContinuousPhase, Linear
from amc_core.fields import Field, declared, fields_of, read_fields
from amc_core.identity import changes, key
from amc_core.pulses import gaussian_phase, raised_cosine_phase
from amc_core.quantities import number

_MOST_POINTS = 4096
_FORMS = "{points: [[1, 0], [0, 1], …]} or {cpm: {levels: 4, index: 1, pulse: rectangular, span: 1}}"


@declared
class Cpm:
    """Continuous phase modulation (J. Anderson, T. Aulin and C.-E. Sundberg, Digital Phase Modulation, 1986, ch. 2).

    The phase is 2πh Σ a_k q(t − kT) with a_k = ±1, ±3, …, ±(levels − 1); the pulse, of `span` symbols, is the
    derivative of q, and its area is ½. Raises AmcError for values that its fields do not allow.
    """

    levels: int = Field(2, 2, 32, help="Number of different symbols, a power of two.")
    index: float = Field(
        0.5, 0, 4, above=True, symbol="h",
        help="Modulation index: symbols of neighbouring levels turn the phase by amounts that differ by 2πh.",
    )  # fmt: skip
    pulse: str = Field(
        "rectangular", choices=("rectangular", "raised_cosine", "gaussian"),
        help="Frequency pulse: LREC, LRC, or a rectangle of one symbol after a Gaussian filter.",
    )  # fmt: skip
    span: int = Field(1, 1, 16, unit="symbols", help="Duration of the pulse.")
    bandwidth_time: float | None = Field(
        None, 0.05, 1, optional=True, symbol="BT",
        help="For a Gaussian pulse: 3 dB bandwidth of the filter times the duration of a symbol.",
    )  # fmt: skip

    def __post_init__(self):
        read_fields(self)
        if self.levels & (self.levels - 1):
            raise AmcError(f"levels {self.levels} is not allowed: it has to be a power of two from 2 to 32")
        if self.pulse == "gaussian" and self.bandwidth_time is None:
            raise AmcError("pulse gaussian needs bandwidth_time beside it, such as 0.3")
        if self.pulse != "gaussian" and self.bandwidth_time is not None:
            raise AmcError(f"bandwidth_time {self.bandwidth_time:g} does nothing without pulse gaussian")

    @property
    def modulation(self) -> ContinuousPhase:
        """What is simulated; a pulse of several symbols is centred on its own symbol as nearly as possible."""
        first = -((self.span - 1) // 2)
        return ContinuousPhase(self.index, partial(self._phase, first), (first, first + self.span), self.levels)

    def _phase(self, first: int, t: np.ndarray) -> np.ndarray:
        """q(t), t in symbols: 0 before the pulse, ½ after it."""
        inside = np.clip(np.asarray(t, dtype=np.float64) - first, 0, self.span)
        if self.pulse == "rectangular":
            return inside / (2 * self.span)
        if self.pulse == "raised_cosine":
            return raised_cosine_phase(inside, self.span)
        middle = (self.span - 1) / 2  # of the pulse, where that of `gaussian_phase` is ½
        ends = gaussian_phase(np.array([0.0, self.span]) - middle, self.bandwidth_time)
        return (gaussian_phase(inside - middle, self.bandwidth_time) - ends[0]) / (2 * (ends[1] - ends[0]))


class OwnModulation(str):
    """The name of the user's own modulation, with its definition.

    content: {"points": [[I, Q], …]}, or {"cpm": fields of `Cpm`}. Points are equally probable and are scaled to unit
    mean power. Two are equal if name and content are; a string equals a modulation of its name. Raises AmcError for a
    name or a content that is not allowed.
    """

    def __new__(cls, name: Any, content: Any) -> OwnModulation:
        if not isinstance(name, str) or not re.fullmatch(r"[\w.+-]{1,32}", name):
            raise AmcError(
                f"name {name!r} of a modulation is not allowed; allowed are 1 to 32 letters, digits and . + - _"
            )
        self = super().__new__(cls, name)
        if not isinstance(content, Mapping) or len(content) != 1 or not {*content} <= {"points", "cpm"}:
            raise AmcError(f"modulation {name}: {str(content)[:200]} is not allowed: write {_FORMS}")
        try:
            self.content = _points(content["points"]) if "points" in content else _cpm(content["cpm"])
        except AmcError as error:
            raise AmcError(f"modulation {name}: {error}") from None
        return self

    @cached_property
    def modulation(self) -> Linear | ContinuousPhase:
        """What is simulated."""
        if "cpm" in self.content:
            return Cpm(**self.content["cpm"]).modulation
        return Linear(normalised(np.array(self.content["points"]) @ np.array([1, 1j])))

    @cached_property
    def label(self) -> str:
        """Name and start of the digest, which distinguishes contents of one name."""
        return f"{self!s} {key(self)[:6]}"

    def definition(self) -> dict[str, Any]:
        """What identifies the modulation."""
        return {str(self): self.content}

    as_dict = definition

    def __eq__(self, other: object) -> bool:
        if isinstance(other, OwnModulation):
            return str(self) == str(other) and self.content == other.content
        return str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(str(self))

    def __reduce__(self):
        return OwnModulation, (str(self), self.content)


def _cpm(content: Any) -> dict[str, dict[str, Any]]:
    if not isinstance(content, Mapping):
        raise AmcError(f"cpm {content!r} is not allowed: map its fields to values (known: {', '.join(fields_of(Cpm))})")
    require_known("field of cpm", content, fields_of(Cpm))
    return {"cpm": changes(Cpm(**content))}


def _points(content: Any) -> dict[str, list[list[float]]]:
    if not isinstance(content, list | tuple) or not 2 <= len(content) <= _MOST_POINTS:
        kind = f"a list of {len(content)}" if isinstance(content, list | tuple) else repr(str(content)[:100])
        raise AmcError(f"points is {kind}: it has to be a list of 2 to {_MOST_POINTS:,} points [I, Q]")
    points = [_point(point) for point in content]
    for index, point in enumerate(points):
        if point in points[:index]:
            raise AmcError(f"point {point} is listed twice: list each point once")
    return {"points": points}


def _point(content: Any) -> list[float]:
    parts = [number(part) for part in content] if isinstance(content, list | tuple) and len(content) == 2 else []
    if not parts or not all(part is not None and math.isfinite(part) and abs(part) <= 1e6 for part in parts):
        allowed = "[I, Q], two numbers from -1,000,000 to 1,000,000"
        raise AmcError(f"point {content!r} is not allowed: it has to be {allowed}")
    return parts
