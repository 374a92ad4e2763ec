"""One transmission setting: signal shaping and channel, independent of the modulation (P1 §III, Table I).

Imports no torch, so that studies can be planned and tables read without it.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from fractions import Fraction

from amc_core.errors import AmcError, suggest


@dataclass(frozen=True)
class Channel:
    """A tapped delay line with fading taps.

    path_delays: s. path_gains_db: mean path powers in dB (normalised to sum to 1 when simulated).
    max_doppler: Hz, of the Jakes spectrum. k_factor: linear ratio of the direct to the scattered power of the
    first path (0 is Rayleigh). No paths at all means a channel that only adds noise.
    """

    path_delays: tuple[float, ...] = ()
    path_gains_db: tuple[float, ...] = ()
    max_doppler: float = 0.0
    k_factor: float = 0.0


# P1 Table I.
CHANNELS = {
    "awgn": Channel(),
    "rayleigh": Channel((0, 4.5e-6, 8.5e-6), (0, -1, -5), max_doppler=4),
    "rician": Channel((0, 0.25e-6, 3e-6, 8e-6), (0, -2, -10, -3), max_doppler=4, k_factor=4),
    "rayleigh_2": Channel((0, 0.2e-6, 3e-6, 9e-6), (0, -7, -2, -1), max_doppler=8),
}


@dataclass(frozen=True)
class Scenario:
    """A transmission setting.

    channel: a name in `CHANNELS`.
    upsampling: samples per symbol L, at least 1; whole, decimal, or a ratio such as "32/3". A decimal that is a
        rounded third (10.67) means that third.
    rolloff: raised-cosine roll-off factor α, in [0, 1].
    sample_rate: f_s in Hz.

    Raises AmcError for anything else.
    """

    channel: str = "awgn"
    upsampling: float = 8.0
    rolloff: float = 0.35
    sample_rate: float = 200e3

    def __post_init__(self):
        if self.channel not in CHANNELS:
            raise AmcError(f"channel {self.channel!r} is not known{suggest(self.channel, CHANNELS)}")
        ratio = _ratio(self.upsampling)
        if ratio is None or not 1 <= ratio <= 1024:
            raise AmcError(
                f"upsampling {self.upsampling!r} is not allowed: samples per symbol is a number from 1 to 1024"
            )
        # A third is kept as it is written, 10.67, so that tables can be queried by what the study says.
        object.__setattr__(self, "upsampling", round(float(ratio), 2) if ratio.denominator == 3 else float(ratio))
        rolloff = self._number("rolloff", "a number in [0, 1]")
        if not 0 <= rolloff <= 1:
            raise AmcError(f"rolloff {self.rolloff!r} is not allowed: it is a number in [0, 1]")
        sample_rate = self._number("sample_rate", "a positive number of Hz")
        if not 0 < sample_rate < math.inf:
            raise AmcError(f"sample_rate {self.sample_rate!r} is not allowed: it is a positive number of Hz")

    def _number(self, name: str, allowed: str) -> float:
        value = getattr(self, name)
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            raise AmcError(f"{name} {value!r} is not allowed: it is {allowed}") from None
        object.__setattr__(self, name, number)
        return number

    @property
    def samples_per_symbol(self) -> Fraction:
        """L as an exact ratio: 16/5, 32/5 and 32/3 for the 3.2, 6.4 and 10.67 of Table I."""
        return _ratio(self.upsampling)

    def require_length(self, length: int) -> None:
        """Raise AmcError unless an instance of `length` samples is longer than the channel's longest delay."""
        delay = max(CHANNELS[self.channel].path_delays, default=0)
        if delay * self.sample_rate >= length:
            raise AmcError(
                f"length {length} is too short: channel {self.channel!r} delays by up to {delay * 1e6:g} µs, "
                f"which is {delay * self.sample_rate:g} samples at {self.sample_rate:g} Hz"
            )

    def as_dict(self) -> dict:
        """The fields as plain values, in the order of the tables' columns."""
        return asdict(self)


SCENARIO_FIELDS = tuple(field.name for field in fields(Scenario))


def _ratio(value: object) -> Fraction | None:
    """The number as an exact ratio, None if it is no finite number; a decimal that rounds a third is that third."""
    try:
        exact = None if isinstance(value, bool) else Fraction(str(value).strip())
    except (ValueError, ZeroDivisionError):
        exact = None
    if exact is None:
        return None
    third = exact.limit_denominator(3)
    decimals = len(str(value).partition(".")[2])
    rounds_third = decimals >= 2 and abs(third - exact) <= Fraction(1, 2 * 10**decimals)
    return third if third.denominator == 3 and (rounds_third or float(third) == float(exact)) else exact
