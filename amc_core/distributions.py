"""Values that are drawn afresh for every instance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from amc_core.errors import AmcError, suggest
from amc_core.quantities import require_number, written

# Kind → what it is.
DISTRIBUTIONS = {
    "uniform": "uniform from the lower to the higher number",
    "log_uniform": "positive, with a uniform logarithm",
    "signed_log_uniform": "of either sign, its absolute value positive with a uniform logarithm",
    "reciprocal_uniform": "positive, with a uniform reciprocal",
}


@dataclass(frozen=True)
class Distribution:
    """A value drawn afresh for every instance, between `low` and `high`; kind: one of `DISTRIBUTIONS`.

    Raises AmcError for bounds that are no range.
    """

    kind: str
    low: float
    high: float

    def __post_init__(self):
        if self.kind not in DISTRIBUTIONS:
            raise AmcError(f"distribution {self.kind!r} is not known{suggest(self.kind, DISTRIBUTIONS)}")
        for name in ("low", "high"):
            object.__setattr__(self, name, require_number(f"bound of {self.kind}", getattr(self, name), -1e300, 1e300))
        bounds = f"{self.kind} [{written(self.low)}, {written(self.high)}]"
        if not self.low < self.high:
            raise AmcError(f"{bounds} is not a range: give two numbers, the lower first")
        if self.kind != "uniform" and self.low < 1e-300:
            raise AmcError(f"{bounds} is not allowed: its bounds have to be positive")

    @property
    def extremes(self) -> tuple[float, float]:
        """The smallest and the largest value that can be drawn."""
        return (-self.high if self.kind == "signed_log_uniform" else self.low, self.high)

    def at(self, u: np.ndarray) -> np.ndarray:
        """The value at u, uniform in (0, 1): the inverse of the distribution function (of |x| and its sign)."""
        if self.kind == "uniform":
            return self.low + (self.high - self.low) * u
        if self.kind == "reciprocal_uniform":
            return 1 / (1 / self.high + (1 / self.low - 1 / self.high) * u)
        sign = 1.0
        if self.kind == "signed_log_uniform":
            sign, u = np.where(u < 0.5, -1.0, 1.0), 2 * u % 1
        return sign * np.exp(math.log(self.low) + u * (math.log(self.high) - math.log(self.low)))

    def as_dict(self) -> dict[str, list[float]]:
        """The distribution as a study file writes it: {kind: [low, high]}."""
        return {self.kind: [self.low, self.high]}

    def __str__(self) -> str:
        return f"{self.kind}({written(self.low)}, {written(self.high)})"


def extremes(value: float | Distribution) -> tuple[float, float]:
    """The smallest and the largest value of a field."""
    return value.extremes if isinstance(value, Distribution) else (value, value)


def distribution(name: str, value: Any) -> Any:
    """The distribution that a mapping {kind: [low, high]} stands for; any other value as it is."""
    if not isinstance(value, Mapping) or len(value) != 1:
        return value
    [(kind, bounds)] = value.items()
    if not isinstance(bounds, list | tuple) or len(bounds) != 2:
        raise AmcError(f"{name} {value!r} is not allowed: a distribution is {{{kind}: [low, high]}}")
    try:
        return Distribution(kind, *bounds)
    except AmcError as error:
        raise AmcError(f"{name}: {error}") from None
