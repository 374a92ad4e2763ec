"""One transmission setting: signal shaping, channel and receiver offsets, independent of the modulation.

P1 §III and Table I, P2 Table I. Imports no torch, so that studies can be planned and tables read without it.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any

import numpy as np

from amc_core.errors import AmcError, require_known, suggest
from amc_core.fingerprint import DigestedPath, fingerprint

DISTRIBUTIONS = ("uniform", "log_uniform", "signed_log_uniform", "reciprocal_uniform")


@dataclass(frozen=True)
class Distribution:
    """A value drawn afresh for every instance, between `low` and `high`.

    kind: "uniform"; "log_uniform" (its logarithm is uniform); "signed_log_uniform" (the same with a random sign);
    "reciprocal_uniform" (its reciprocal is uniform). Raises AmcError for bounds that are no range.
    """

    kind: str
    low: float
    high: float

    def __post_init__(self):
        if self.kind not in DISTRIBUTIONS:
            raise AmcError(f"distribution {self.kind!r} is not known{suggest(self.kind, DISTRIBUTIONS)}")
        for name in ("low", "high"):
            bound = _number(f"bound of {self.kind}", getattr(self, name), -1e300, 1e300, "a number, the lower first")
            object.__setattr__(self, name, bound)
        if not self.low < self.high:
            raise AmcError(
                f"{self.kind} [{self.low:g}, {self.high:g}] is not a range: give two numbers, the lower first"
            )
        if self.kind != "uniform" and self.low < 1e-300:
            raise AmcError(f"{self.kind} [{self.low:g}, {self.high:g}] is not allowed: its bounds are positive")

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

    def __str__(self) -> str:
        return f"{self.kind}({self.low:g}, {self.high:g})"


@dataclass(frozen=True)
class Channel:
    """A tapped delay line with fading taps.

    path_delays: s. path_gains_db: mean path powers in dB (normalised to sum to 1 when simulated).
    max_doppler: Hz, of the Jakes spectrum. k_factor: linear ratio of the direct to the scattered power of the
    first path (0 is Rayleigh). No paths at all means a channel that only adds noise. name: what tables call it.
    Raises AmcError for anything else.
    """

    path_delays: tuple[float, ...] = ()
    path_gains_db: tuple[float, ...] = ()
    max_doppler: float = 0.0
    k_factor: float = 0.0
    name: str = ""

    def __post_init__(self):
        for name in ("path_delays", "path_gains_db"):
            values = getattr(self, name)
            if not isinstance(values, list | tuple) or len(values) > 64:
                raise AmcError(f"{name} {values!r} is not allowed: it is a list of at most 64 numbers")
            low = 0 if name == "path_delays" else -200
            object.__setattr__(self, name, tuple(_number(name, value, low, 200, "numbers") for value in values))
        if not isinstance(self.name, str) or not re.fullmatch(r"[\w .+-]{0,64}", self.name):
            allowed = "at most 64 letters, digits, blanks and . + - _"
            raise AmcError(f"name {self.name!r} of a channel is not allowed: it has {allowed}")
        if len(self.path_delays) != len(self.path_gains_db):
            raise AmcError(
                f"{len(self.path_delays)} path_delays and {len(self.path_gains_db)} path_gains_db do not match"
            )
        if max(self.path_delays, default=0) > 1:
            raise AmcError(f"path_delays {list(self.path_delays)} are not allowed: they are seconds, at most 1")
        for name, high, allowed in (("max_doppler", 1e6, "Hz, from 0 to 1e6"), ("k_factor", 1e6, "from 0 to 1e6")):
            object.__setattr__(self, name, _number(name, getattr(self, name), 0, high, allowed))


FILE_FIELDS = ("audio", "recording")  # paths; what counts is what lies there
PULSES = ("raised_cosine", "root_raised_cosine")

# Field → smallest, largest, what is allowed in words; each may also be a distribution between these.
_NUMBERS = {
    "upsampling": (1, 1024, "samples per symbol, a number from 1 to 1024"),
    "rolloff": (0, 1, "a number in [0, 1]"),
    "timing_offset": (-1024, 1024, "symbols, from -1024 to 1024"),
    "phase_offset": (-1e3, 1e3, "radians, from -1000 to 1000"),
    "carrier_offset": (-1e12, 1e12, "a number of Hz"),
    "relative_carrier_offset": (-0.5, 0.5, "cycles per sample, from -0.5 to 0.5"),
    "sample_rate_offset": (-1e5, 1e5, "parts per million, from -100000 to 100000"),
}


@dataclass(frozen=True)
class Scenario:
    """A transmission setting. All but channel, sample_rate and pulse may be a `Distribution`, or {kind: [low, high]}.

    channel: a name in `CHANNELS`, a `Channel`, or a dictionary of its fields.
    upsampling: samples per symbol L, at least 1; whole, decimal, or a ratio such as "32/3". A decimal that is a
        rounded third (10.67) means that third.
    rolloff: roll-off factor α, in [0, 1].
    sample_rate: f_s in Hz.
    pulse: "raised_cosine" or "root_raised_cosine".
    timing_offset: symbols by which the signal is late (τ of P1 eq. 2). phase_offset: rad.
    carrier_offset: Hz by which the received spectrum is shifted upwards; relative_carrier_offset: the same in
        cycles per sample; both are added. (P1 eq. 2 counts its Δf downwards.)
    sample_rate_offset: ppm by which the receiver samples faster than f_s.
    audio: path of a WAV file that the analogue modulations send instead of speech-like noise.
    recording: path of a file whose instances are taken instead of simulated ones; all else then has its default.
        Both are what the file's content is (`DigestedPath`), wherever it lies; {"path": …, "content": its digest}
        names content that was read before.

    Raises AmcError for anything else.
    """

    channel: str | Channel = "awgn"
    upsampling: float | Distribution = 8.0
    rolloff: float | Distribution = 0.35
    sample_rate: float = 200e3
    pulse: str = "raised_cosine"
    timing_offset: float | Distribution = 0.0
    phase_offset: float | Distribution = 0.0
    carrier_offset: float | Distribution = 0.0
    relative_carrier_offset: float | Distribution = 0.0
    sample_rate_offset: float | Distribution = 0.0
    audio: str = ""
    recording: str = ""

    def __post_init__(self):
        object.__setattr__(self, "channel", _channel(self.channel))
        for name, (low, high, allowed) in _NUMBERS.items():
            object.__setattr__(self, name, _value(name, getattr(self, name), low, high, allowed))
        sample_rate = _number("sample_rate", self.sample_rate, 1e-6, 1e15, "a positive number of Hz")
        object.__setattr__(self, "sample_rate", sample_rate)
        if self.pulse not in PULSES:
            raise AmcError(f"pulse {self.pulse!r} is not known{suggest(self.pulse, PULSES)}")
        for name in FILE_FIELDS:
            object.__setattr__(self, name, _path(name, getattr(self, name)))
        self._require_no_alias()
        simulated = [f.name for f in fields(self) if f.name != "recording" and getattr(self, f.name) != f.default]
        if self.recording and simulated:
            raise AmcError(f"recording {self.recording!r} does not go with {simulated[0]}: it is not simulated")

    def _require_no_alias(self) -> None:
        """Raise AmcError where a carrier offset reaches beyond ±f_s/2, where it would appear as another."""
        slowest = self.sample_rate * (1 + _extremes(self.sample_rate_offset)[0] * 1e-6)  # of the receiver
        absolute, relative = (_extremes(value) for value in (self.carrier_offset, self.relative_carrier_offset))
        cycles = [hertz / slowest + share for hertz, share in zip(absolute, relative, strict=True)]
        if not -0.5 <= cycles[0] <= cycles[1] <= 0.5:
            offsets = " to ".join(f"{slowest * offset:g}" for offset in dict.fromkeys(cycles))
            half = f"±{slowest / 2:g} Hz, half of the receiver's sample rate"
            raise AmcError(f"a carrier offset of {offsets} Hz appears as another: allowed are at most {half}")

    @property
    def samples_per_symbol(self) -> Fraction:
        """L as an exact ratio: 16/5, 32/5 and 32/3 for the 3.2, 6.4 and 10.67 of Table I."""
        return _ratio(self.upsampling)

    @property
    def paths(self) -> Channel:
        """The channel itself, where `channel` is a name."""
        return CHANNELS[self.channel] if isinstance(self.channel, str) else self.channel

    def require_length(self, length: int) -> None:
        """Raise AmcError unless an instance of `length` samples is longer than the channel's longest delay."""
        delay = max(self.paths.path_delays, default=0)
        if delay * self.sample_rate >= length:
            raise AmcError(
                f"length {length} is too short: channel {self.paths.name!r} delays by up to {delay * 1e6:g} µs, "
                f"which is {delay * self.sample_rate:g} samples at {self.sample_rate:g} Hz"
            )

        periods = self.paths.max_doppler * length / self.sample_rate
        if periods * length > 1e8:
            raise AmcError(
                f"channel {self.paths.name!r} fades {periods:g} times in {length} samples at {self.sample_rate:g} Hz, "
                f"which is too fast: at most {1e8 / length:g} times are allowed"
            )

    @property
    def components(self) -> tuple[Scenario, ...]:
        """The scenario itself; of a `Mixture`, the scenarios it is made of."""
        return (self,)

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain values that make the same scenario again and that JSON can hold."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    def definition(self) -> dict[str, Any]:
        """What makes the scenario another: `as_dict` without fields at their default, names of channels, and paths."""
        defaults = _DEFAULT.as_dict()
        changed = {name: value for name, value in self.as_dict().items() if value != defaults[name]}
        if isinstance(self.channel, Channel):
            changed["channel"] = {name: value for name, value in changed["channel"].items() if name != "name"}
        for name in FILE_FIELDS:
            if name in changed:
                changed[name] = fingerprint(getattr(self, name))
        return changed

    def columns(self) -> dict[str, str | float]:
        """The fields as cells of a table: channels and files by name, a distribution as "uniform(0.1, 0.5)"."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values["channel"] = self.paths.name or f"channel {hashlib.blake2b(repr(self.paths).encode()).hexdigest()[:6]}"
        values |= {name: values[name].label for name in FILE_FIELDS if values[name]}
        if self.recording:  # of whose setting nothing is known
            blank = {name: "" if isinstance(value, str) else math.nan for name, value in values.items()}
            values = blank | {"recording": values["recording"]}
        return {name: str(value) if isinstance(value, Distribution) else value for name, value in values.items()}


@dataclass(frozen=True)
class Mixture:
    """Scenarios side by side, to train on: the instance's index decides from which of them it is.

    Instance i of the mixture is instance i of one of the `scenarios`, which take shares in proportion to
    `weights` (kept as shares of 1), to within an instance or two of every stretch of indices and so of every
    modulation, SNR and part. Raises AmcError for fewer than two scenarios or weights that are not positive.
    """

    scenarios: tuple[Scenario, ...]
    weights: tuple[float, ...]

    def __post_init__(self):
        object.__setattr__(self, "scenarios", tuple(self.scenarios))
        weights = tuple(_number("weight", weight, 1e-6, 1e6, "from 1e-6 to 1e6") for weight in self.weights)
        object.__setattr__(self, "weights", tuple(weight / sum(weights) for weight in weights))
        if len(self.scenarios) < 2 or len(set(self.scenarios)) < len(self.scenarios):
            raise AmcError("a mixture has at least two scenarios, all different")
        if len(weights) != len(self.scenarios):
            raise AmcError(f"{len(self.scenarios)} scenarios and {len(weights)} weights do not match")

    @property
    def components(self) -> tuple[Scenario, ...]:
        return self.scenarios

    def component(self, index: np.ndarray) -> np.ndarray:
        """Which scenario each instance is from: int64 indices → int64 places, of the same shape."""
        golden = (math.sqrt(5) - 1) / 2  # whose multiples fill the unit interval evenly, however many are taken
        below = np.cumsum(self.weights)[:-1]
        return np.searchsorted(below, (index + 1) * golden % 1.0, side="right")

    def as_dict(self) -> dict[str, Any]:
        """Plain values from which `scenario_from` makes the same mixture again and that JSON can hold."""
        return {"mixture": [scenario.as_dict() for scenario in self.scenarios], "weights": list(self.weights)}

    def definition(self) -> dict[str, Any]:
        """What makes the mixture another."""
        return {"mixture": [scenario.definition() for scenario in self.scenarios], "weights": list(self.weights)}

    def columns(self) -> dict[str, str | float]:
        """As `Scenario.columns`; a field in which the scenarios differ is told as "awgn + rayleigh", in their order.

        Shares that are not equal stand before the values: "0.75 awgn + 0.25 rayleigh".
        """
        columns = [scenario.columns() for scenario in self.scenarios]
        shares = [f"{weight:.4g} " if len(set(self.weights)) > 1 else "" for weight in self.weights]
        together = {name: [column[name] for column in columns] for name in SCENARIO_FIELDS}
        return {
            name: values[0]
            if len(set(values)) == 1
            else " + ".join(share + told(value) for share, value in zip(shares, values, strict=True))
            for name, values in together.items()
        }


SCENARIO_FIELDS = tuple(field.name for field in fields(Scenario))


def scenario_from(plain: Mapping[str, Any]) -> Scenario | Mixture:
    """The scenario or mixture of which `plain` is the `as_dict`."""
    if "mixture" in plain:
        return Mixture(tuple(Scenario(**entry) for entry in plain["mixture"]), plain["weights"])
    return Scenario(**plain)


def told(value: str | float) -> str:
    """A value of `Scenario.columns` as a text."""
    return f"{value:g}" if isinstance(value, float) else value


def _channel(value: Any) -> str | Channel:
    if isinstance(value, Channel):
        if CHANNELS.get(value.name, value) != value:
            raise AmcError(f"channel {value.name!r} is one of Table I: give a channel of your own another name")
        return value.name if value.name in CHANNELS else value
    if isinstance(value, Mapping):
        known = [field.name for field in fields(Channel)]
        require_known("channel field", value, known)
        return _channel(Channel(**value))
    if not isinstance(value, str) or value not in CHANNELS:
        raise AmcError(f"channel {value!r} is not known{suggest(value, CHANNELS)}")
    return value


def _value(name: str, value: Any, low: float, high: float, allowed: str) -> float | Distribution:
    if isinstance(value, Mapping) and len(value) == 1:
        [(kind, bounds)] = value.items()
        if not isinstance(bounds, list | tuple) or len(bounds) != 2:
            raise AmcError(f"{name} {value!r} is not allowed: a distribution is {{{kind}: [low, high]}}")
        try:
            value = Distribution(kind, *bounds)
        except AmcError as error:
            raise AmcError(f"{name}: {error}") from None
    if isinstance(value, Distribution):
        if not low <= value.extremes[0] < value.extremes[1] <= high:
            raise AmcError(f"{name} {value} is not allowed: it is {allowed}")
        return value
    if name != "upsampling":
        return _number(name, value, low, high, allowed)
    ratio = _ratio(value)
    if ratio is None or not low <= ratio <= high:
        raise AmcError(f"{name} {value!r} is not allowed: it is {allowed}")
    # A third is kept as it is written, 10.67, so that tables can be queried by what the study says.
    return round(float(ratio), 2) if ratio.denominator == 3 else float(ratio)


def _number(name: str, value: Any, low: float, high: float, allowed: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not low <= number <= high:
        raise AmcError(f"{name} {value!r} is not allowed: it is {allowed}")
    return number


def _path(name: str, value: Any) -> str:
    """The path of a file, with the digest of its content where that is told."""
    digest = ""
    if isinstance(value, Mapping) and set(value) == {"path", "content"}:
        value, digest = value["path"], value["content"]
    if not isinstance(value, str) or not isinstance(digest, str):
        raise AmcError(f"{name} {value!r} is not allowed: it is the path of a file")
    return DigestedPath(value, digest) if value else ""


def _extremes(value: float | Distribution) -> tuple[float, float]:
    return value.extremes if isinstance(value, Distribution) else (value, value)


def _plain(value: Any) -> Any:
    if isinstance(value, DigestedPath):
        return {"path": str(value), "content": value.digest}
    if isinstance(value, Distribution):
        return {value.kind: [value.low, value.high]}
    if isinstance(value, Channel):
        plain = {field.name: getattr(value, field.name) for field in fields(value)}
        return {name: list(entry) if isinstance(entry, tuple) else entry for name, entry in plain.items()}
    return value


def _ratio(value: Any) -> Fraction | None:
    """The number as an exact ratio, None if it is no finite number; a decimal that rounds a third is that third."""
    text = str(value).strip()
    try:
        parts = [float(part) for part in text.split("/")]
        if isinstance(value, bool) or len(text) > 40 or not all(1e-6 < abs(part) < 1e12 for part in parts):
            return None
        exact = Fraction(text)
    except (ValueError, ZeroDivisionError):
        return None
    third = exact.limit_denominator(3)
    decimals = len(text.partition(".")[2])
    rounds_third = decimals >= 2 and abs(third - exact) <= Fraction(1, 2 * 10**decimals)
    return third if third.denominator == 3 and (rounds_third or float(third) == float(exact)) else exact


# P1 Table I.
CHANNELS = {
    "awgn": Channel(name="awgn"),
    "rayleigh": Channel((0, 4.5e-6, 8.5e-6), (0, -1, -5), max_doppler=4, name="rayleigh"),
    "rician": Channel((0, 0.25e-6, 3e-6, 8e-6), (0, -2, -10, -3), max_doppler=4, k_factor=4, name="rician"),
    "rayleigh_2": Channel((0, 0.2e-6, 3e-6, 9e-6), (0, -7, -2, -1), max_doppler=8, name="rayleigh_2"),
}
_DEFAULT = Scenario()

# P2 Table I: one scenario of distributions, without and with frequency offsets. L is symbol over sample period.
AUGMOD = Scenario(
    upsampling=Distribution("reciprocal_uniform", 2.0, 1 / 0.3),
    rolloff=Distribution("uniform", 0.1, 0.5),
    timing_offset=Distribution("uniform", 0.0, 1.0),
    phase_offset=Distribution("uniform", 0.0, 2 * math.pi),
)
AUGMOD_OFFSETS = Scenario(
    **AUGMOD.as_dict() | {"relative_carrier_offset": Distribution("signed_log_uniform", 1e-6, 0.5)}
)
