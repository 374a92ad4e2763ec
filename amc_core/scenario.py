"""One transmission setting: signal shaping, channel and receiver offsets, independent of the modulation.

P1 §III and Table I, P2 Table I. Imports no torch, so that studies can be planned and tables read without it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any

import numpy as np

from amc_core.delay_lines import CHANNELS, Channel, channel_schema, read_channel
from amc_core.distributions import DISTRIBUTIONS, Distribution, extremes
from amc_core.errors import AmcError
from amc_core.fields import Field, column, declared, fields_of, plain, read_fields
from amc_core.fingerprint import fingerprint
from amc_core.front_end import FrontEnd, front_end_schema, read_front_end
from amc_core.identity import changes, key
from amc_core.quantities import many, ratio, require_number, written
from amc_core.reading import read_recording, recording_schema

__all__ = ["AUGMOD", "AUGMOD_OFFSETS", "CHANNELS", "DISTRIBUTIONS", "FILE_FIELDS", "SCENARIO_FIELDS"]
__all__ += ["Channel", "Distribution", "Mixture", "Scenario", "scenario_from"]


SHORTEST_RESAMPLED = 64  # samples; a symbol rate cannot be estimated from fewer
OF_RECORDINGS = ("recording", "normalisation")  # the fields that apply to recorded instances


@declared
class Scenario:
    """A transmission setting (P1 §III and Table I, P2 Table I); a field that varies may be a `Distribution`.

    A distribution may also be written as {kind: [low, high]}. channel: a name in `CHANNELS`, a `Channel`, or a
    dictionary of its fields. With a recording, the only other field allowed is normalisation.

    audio, recording: paths of files, which are identified by their content (`DigestedPath`); also {"path": …,
    "content": its digest}.

    Raises AmcError for values that its fields do not allow.
    """

    channel: str | Channel = Field(
        "awgn", reader=read_channel, schema_of=channel_schema,
        help=f"The path from transmitter to receiver: {', '.join(CHANNELS)}, or your own channel.",
    )  # fmt: skip
    upsampling: float | Distribution = Field(
        8.0, 1, 1024, exact=True, varies=True, symbol="L", label="samples per symbol",
        help='Whole, decimal, or a ratio such as "32/3"; a rounded third (10.67) means that third.',
    )  # fmt: skip
    rolloff: float | Distribution = Field(
        0.35,
        0,
        1,
        varies=True,
        symbol="α",
        label="roll-off",
        help="Roll-off factor of the pulse; below 0.01 it is shaped as at 0.01.",
    )
    sample_rate: float = Field(
        200e3, 1e-6, 1e15, unit="Hz", shown=("kHz", 1e-3), symbol="f_s", help="Samples per second."
    )
    pulse: str = Field(
        "raised_cosine", choices=("raised_cosine", "root_raised_cosine"), help="Pulse of the linear modulations."
    )
    pulse_span: int | None = Field(
        None, 1, 128, whole=True, optional=True, unit="symbols",
        help="Length of the pulse on either side; by default it ends where less than 1e-5 of its energy remains.",
    )  # fmt: skip
    timing_offset: float | Distribution = Field(
        0.0, -1024, 1024, varies=True, unit="symbols", help="Delay of the signal (τ of P1 eq. 2)."
    )
    phase_offset: float | Distribution = Field(
        0.0, -1e3, 1e3, varies=True, unit="rad", help="Phase that is added to the received signal."
    )
    carrier_offset: float | Distribution = Field(
        0.0, -1e12, 1e12, varies=True, unit="Hz",
        help="Upward shift of the received spectrum (P1 eq. 2 counts its Δf downwards).",
    )  # fmt: skip
    relative_carrier_offset: float | Distribution = Field(
        0.0, -0.5, 0.5, varies=True, unit="cycles per sample", label="carrier offset",
        help="A carrier offset relative to the sample rate, which is added to the one in Hz.",
    )  # fmt: skip
    sample_rate_offset: float | Distribution = Field(
        0.0, -1e5, 1e5, varies=True, unit="ppm", label="sample-rate offset",
        help="Difference of the receiver's sample rate from the nominal one; positive is faster.",
    )  # fmt: skip
    amplifier_backoff_db: float | Distribution | None = Field(
        None, -30, 60, varies=True, optional=True, unit="dB", label="amplifier back-off",
        help="Saturation power of the transmitter's amplifier, relative to the power of the instance.",
    )  # fmt: skip
    amplifier_smoothness: float | Distribution = Field(
        3.0, 0.1, 100, varies=True,
        help="Smoothness of the amplifier's transition to saturation (p of Rapp's model).",
    )  # fmt: skip
    phase_noise_linewidth: float | Distribution = Field(
        0.0, 0, 1e12, varies=True, unit="Hz",
        help="Full width at half maximum of the oscillator's Lorentzian spectrum; its phase is a Wiener process.",
    )  # fmt: skip
    impulsive_index: float | Distribution | None = Field(
        None, 1e-6, 10, varies=True, optional=True,
        help="Impulses per sample (A) of Middleton's class A noise, which replaces Gaussian noise.",
    )  # fmt: skip
    impulsive_ratio: float | Distribution | None = Field(
        None, 1e-9, 1e9, varies=True, optional=True,
        help="Power of the Gaussian part of class A noise over that of its impulses (Γ).",
    )  # fmt: skip
    iq_gain_imbalance_db: float | Distribution = Field(
        0.0, -20, 20, varies=True, unit="dB", label="I/Q gain imbalance",
        help="Gain of I over that of Q in the receiver.",
    )  # fmt: skip
    iq_phase_imbalance: float | Distribution = Field(
        0.0, -1.5, 1.5, varies=True, unit="rad", label="I/Q phase imbalance",
        help="Deviation of the receiver's I and Q from a right angle.",
    )  # fmt: skip
    dc_offset_i: float | Distribution = Field(
        0.0, -100, 100, varies=True, label="DC offset of I",
        help="Constant that the receiver adds to I, in units of the rms of the received signal with its noise.",
    )  # fmt: skip
    dc_offset_q: float | Distribution = Field(
        0.0, -100, 100, varies=True, label="DC offset of Q",
        help="Constant that the receiver adds to Q, in units of the rms of the received signal with its noise.",
    )  # fmt: skip
    clipping_level: float | Distribution | None = Field(
        None, 0, 1e3, above=True, varies=True, optional=True,
        help="Largest magnitude of I and of Q, which are clipped there, in units of the rms of the converted signal.",
    )  # fmt: skip
    quantiser_bits: int | Distribution | None = Field(
        None, 1, 24, whole=True, varies=True, optional=True,
        help="Bits of I and of Q, up to the clipping level or else the instance's largest value; draws are rounded.",
    )  # fmt: skip
    front_end: str | FrontEnd = Field(
        "", reader=read_front_end, schema_of=front_end_schema, label="front end",
        help="Your own function in a file of `code`, which processes the received signal: {my_rx.clip: {level: 1}}.",
    )  # fmt: skip
    resample_to: float | None = Field(
        None, 2, 64, optional=True, unit="samples per symbol", label="blind resampling",
        help="Rate to which the receiver resamples; it estimates the symbol rate from the instance alone.",
    )  # fmt: skip
    snr_reference: str = Field(
        "instance", choices=("instance", "average"),
        help="Reference of the SNR: the power of the instance itself, as faded, or the average over fading.",
    )  # fmt: skip
    normalisation: str = Field(
        "power", choices=("power", "energy", "max", "none"),
        help="The last scaling of an instance, simulated or recorded: to unit mean power, by its energy, by its "
        "largest magnitude, or none.",
    )  # fmt: skip
    audio: str = Field(
        "", file=True,
        help="A WAV file that the analogue modulations send instead of speech-like noise; training, validation and "
        "test use separate stretches of it, in the proportions of the split (80:10:10).",
    )  # fmt: skip
    recording: str = Field(
        "", file=True, reader=read_recording, schema_of=recording_schema,
        help="A file whose instances replace simulated ones, or {file: path, iq: field, …} if its format does not "
        "describe its fields. The only other field allowed with it is normalisation.",
    )  # fmt: skip

    def __post_init__(self):
        read_fields(self)
        self._require_no_alias()
        self._require_partners()
        simulated = [name for name in changes(self) if name not in OF_RECORDINGS]
        if self.recording and simulated:
            raise AmcError(f"{simulated[0]} is not allowed with recording {self.recording!r}: it is not simulated")

    def _require_no_alias(self) -> None:
        """Raise AmcError if a carrier or Doppler shift is beyond ±f_s/2, where it would alias."""
        slowest = self.sample_rate * (1 + extremes(self.sample_rate_offset)[0] * 1e-6)  # of the receiver
        half = f"±{slowest / 2:g} Hz, half of the receiver's sample rate"
        absolute, relative = (extremes(value) for value in (self.carrier_offset, self.relative_carrier_offset))
        direct, scattered = self.paths.direct_doppler, self.paths.max_doppler
        cycles = [(hertz + direct) / slowest + share for hertz, share in zip(absolute, relative, strict=True)]
        if not -0.5 <= cycles[0] <= cycles[1] <= 0.5:
            offsets = " to ".join(f"{slowest * offset:g}" for offset in dict.fromkeys(cycles))
            shifts = "carrier offset and direct_doppler" if direct else "carrier offset"
            raise AmcError(f"{shifts} of {offsets} Hz would alias: allowed are at most {half}")
        if scattered > slowest / 2:
            raise AmcError(f"max_doppler of {scattered:g} Hz would alias: allowed are at most {half}")

    def _require_partners(self) -> None:
        """Raise AmcError for a field that does nothing without another one."""
        if (self.impulsive_index is None) != (self.impulsive_ratio is None):
            given, missing = "impulsive_index", "impulsive_ratio"
            if self.impulsive_index is None:
                given, missing = missing, given
            raise AmcError(f"{given} {written(getattr(self, given))} needs {missing} beside it")
        if "amplifier_smoothness" in changes(self) and self.amplifier_backoff_db is None:
            smoothness = written(self.amplifier_smoothness)
            raise AmcError(f"amplifier_smoothness {smoothness} does nothing without amplifier_backoff_db")

    @property
    def samples_per_symbol(self) -> Fraction:
        """L as an exact ratio: 16/5, 32/5 and 32/3 for the 3.2, 6.4 and 10.67 of Table I."""
        return ratio(self.upsampling)

    @property
    def paths(self) -> Channel:
        """The `Channel`, also if the field `channel` is a name."""
        return CHANNELS[self.channel] if isinstance(self.channel, str) else self.channel

    def require_length(self, length: int) -> None:
        """Raise AmcError unless `length` samples exceed the channel's delays and suffice to estimate a symbol rate."""
        if self.resample_to is not None and length < SHORTEST_RESAMPLED:
            raise AmcError(f"length {length} is too short for resample_to: at least {SHORTEST_RESAMPLED} samples")
        delay = max(self.paths.path_delays, default=0)
        if delay * self.sample_rate >= length:
            raise AmcError(
                f"length {length} is too short: channel {self.paths.name!r} delays by up to {delay * 1e6:g} µs, "
                f"which is {delay * self.sample_rate:g} samples at {self.sample_rate:g} Hz"
            )

        periods = self.paths.max_doppler * length / self.sample_rate
        if periods * length > 1e8:
            raise AmcError(
                f"channel {self.paths.name!r} fades too fast: {periods:g} cycles of max_doppler in {length} samples at "
                f"{self.sample_rate:g} Hz; allowed are at most {1e8 / length:g}"
            )

    @property
    def components(self) -> tuple[Scenario, ...]:
        """The scenario itself; for a `Mixture`, its scenarios."""
        return (self,)

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain values that make the same scenario again and that JSON can hold."""
        return {field.name: plain(getattr(self, field.name)) for field in fields(self)}

    def definition(self) -> dict[str, Any]:
        """What identifies the scenario: fields that are not at their default, with channel and files by content."""
        changed = changes(self)
        if "channel" in changed:
            changed["channel"] = self.paths.definition()
            if not changed["channel"]:  # noise only, the default
                del changed["channel"]
        changed |= {name: fingerprint(changed[name]) for name in FILE_FIELDS if name in changed}
        if "audio" in changed:  # distinct from an older definition, in which all parts drew from the whole file
            changed["audio"] = {"content": changed["audio"], "parts": "stretches"}
        return changed

    def columns(self) -> dict[str, str | float]:
        """The fields as cells of a table: channels and files by name, a distribution as "uniform(0.1, 0.5)"."""
        values = {name: column(field, getattr(self, name)) for name, field in fields_of(self).items()}
        values["front_end"] = self.front_end and self.front_end.label
        values["channel"] = self.paths.name or f"channel {key(self.paths)[:6]}"
        if self.recording:  # its setting is unknown
            blank = {name: "" if isinstance(value, str) else math.nan for name, value in values.items()}
            values = blank | {name: values[name] for name in OF_RECORDINGS}
        return values


@dataclass(frozen=True)
class Mixture:
    """A mixture of scenarios to train on: the index of an instance decides its scenario.

    Instance i of the mixture is instance i of one of the `scenarios`. Their shares are in proportion to `weights` (kept
    as shares of 1), to within an instance or two in every range of indices and so in every modulation, SNR and part.
    Raises AmcError for fewer than two scenarios or weights that are not positive.
    """

    scenarios: tuple[Scenario, ...]
    weights: tuple[float, ...]

    def __post_init__(self):
        object.__setattr__(self, "scenarios", tuple(self.scenarios))
        weights = [ratio(require_number("weight", weight, 1e-6, 1e6)) for weight in self.weights]
        whole = sum(weights) if abs(sum(weights) - 1) > 1e-12 else 1  # shares of 1 stay as they are
        object.__setattr__(self, "weights", tuple(float(weight / whole) for weight in weights))
        if len(self.scenarios) < 2 or len(set(self.scenarios)) < len(self.scenarios):
            raise AmcError("a mixture has to have at least two scenarios, all different")
        if len(weights) != len(self.scenarios):
            counts = f"{many(len(self.scenarios), 'scenario')} and {many(len(weights), 'weight')}"
            raise AmcError(f"a mixture of {counts} is not allowed: give a weight for each scenario")

    @property
    def components(self) -> tuple[Scenario, ...]:
        return self.scenarios

    def component(self, index: np.ndarray) -> np.ndarray:
        """The scenario of each instance: int64 indices of instances → int64 indices of scenarios, same shape."""
        golden = (math.sqrt(5) - 1) / 2  # any number of its multiples modulo 1 fill the unit interval evenly
        below = np.cumsum(self.weights)[:-1]
        return np.searchsorted(below, (index + 1) * golden % 1.0, side="right")

    def as_dict(self) -> dict[str, Any]:
        """Plain values from which `scenario_from` makes the same mixture again and that JSON can hold."""
        return {"mixture": [scenario.as_dict() for scenario in self.scenarios], "weights": list(self.weights)}

    def definition(self) -> dict[str, Any]:
        """What identifies the mixture."""
        alike = len(set(self.weights)) == 1
        return {"mixture": list(self.scenarios)} | ({} if alike else {"weights": self.weights})

    def columns(self) -> dict[str, str | float]:
        """As `Scenario.columns`; a field in which the scenarios differ is written "awgn + rayleigh", in their order.

        Unequal shares precede the values: "0.75 awgn + 0.25 rayleigh".
        """
        columns = [scenario.columns() for scenario in self.scenarios]
        shares = [f"{written(weight, 4)} " if len(set(self.weights)) > 1 else "" for weight in self.weights]
        together = {name: [column[name] for column in columns] for name in columns[0]}
        return {
            name: values[0]
            if len(set(values)) == 1
            else " + ".join(share + written(value) for share, value in zip(shares, values, strict=True))
            for name, values in together.items()
        }


SCENARIO_FIELDS = tuple(fields_of(Scenario))
FILE_FIELDS = tuple(name for name, field in fields_of(Scenario).items() if field.file)  # identified by content


def scenario_from(plain: Mapping[str, Any]) -> Scenario | Mixture:
    """The scenario or mixture of which `plain` is the `as_dict`."""
    if "mixture" in plain:
        return Mixture(tuple(Scenario(**entry) for entry in plain["mixture"]), plain["weights"])
    return Scenario(**plain)


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
