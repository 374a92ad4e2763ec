"""Channels: tapped delay lines by name or by their fields (P1 §III, Table I). Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from amc_core.errors import AmcError, require_known, suggest
from amc_core.fields import Field, declared, fields_of, plain, read_fields
from amc_core.identity import changes

_MOST_PATHS = 64


def _channel_name(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[\w .+-]{0,64}", value):
        allowed = "at most 64 letters, digits, blanks and . + - _"
        raise AmcError(f"name {value!r} of a channel is not allowed; allowed are {allowed}")
    return value


@declared
class Channel:
    """A tapped delay line with fading taps; without paths, a channel that only adds noise (P1 eq. 2, Table I).

    With `realisations` R, the gains of realisation k follow from the other fields, the dataset's seed and k alone: they
    are the same for every modulation, SNR and number of samples per symbol, in training and in test.

    Raises AmcError for values that its fields do not allow, if delays and gains differ in number, and for a field that
    does nothing without another.
    """

    path_delays: tuple[float, ...] = Field((), 0, 1, unit="s", most=_MOST_PATHS, help="Delay of each path.")
    path_gains_db: tuple[float, ...] = Field(
        (), -200, 200, unit="dB", most=_MOST_PATHS,
        help="Mean power of each path; the powers are scaled so that their sum is 1.",
    )  # fmt: skip
    max_doppler: float = Field(
        0.0, 0, 1e6, unit="Hz", label="maximum Doppler shift", help="Largest Doppler shift, of the Jakes spectrum."
    )
    k_factor: float = Field(
        0.0, 0, 1e6, symbol="K", label="Rician factor",
        help="Linear ratio of the direct to the scattered power of the first path; 0 is Rayleigh fading.",
    )  # fmt: skip
    direct_doppler: float = Field(0.0, -1e6, 1e6, unit="Hz", help="Doppler shift of the direct part of a Rician path.")
    direct_phase: float = Field(0.0, -1e3, 1e3, unit="rad", help="Phase of the direct part at the first sample.")
    realisations: int | None = Field(
        None, 1, 10**9, whole=True, optional=True,
        help="How many fading realisations there are: instance i takes number i mod R. By default each has its own.",
    )  # fmt: skip
    name: str = Field("", reader=_channel_name, schema_of=lambda: {"type": "string"}, help="The name in tables.")

    def __post_init__(self):
        read_fields(self)
        if len(self.path_delays) != len(self.path_gains_db):
            counts = f"{len(self.path_delays)} and {len(self.path_gains_db)}"
            raise AmcError(f"path_delays and path_gains_db differ in length ({counts}): give one gain for each delay")
        self._require_partners()

    def _require_partners(self) -> None:
        """Raise AmcError for a field that does nothing without another one."""
        given = [name for name in changes(self) if name != "name"]
        if given and not self.path_delays:
            raise AmcError(f"{given[0]} {getattr(self, given[0])!r} does nothing without path_delays and path_gains_db")
        direct = [name for name in given if name.startswith("direct_")]
        if direct and not self.k_factor:
            raise AmcError(f"{direct[0]} {getattr(self, direct[0])!r} does nothing without a k_factor above 0")

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain values that make the same channel again and that JSON can hold."""
        return {field.name: plain(getattr(self, field.name)) for field in fields(self)}

    def definition(self) -> dict[str, Any]:
        """What identifies the channel: its fields without the name, and without those at their default."""
        return {name: value for name, value in changes(self).items() if name != "name"}


def read_channel(value: Any) -> str | Channel:
    if isinstance(value, Channel):
        if CHANNELS.get(value.name, value) != value:
            raise AmcError(f"channel {value.name!r} is one of Table I: give a channel of your own another name")
        return value.name if value.name in CHANNELS else value
    if isinstance(value, Mapping):
        require_known("channel field", value, (*fields_of(Channel), "like"))
        return read_channel(_like(**value) if "like" in value else Channel(**value))
    if not isinstance(value, str) or value not in CHANNELS:
        raise AmcError(f"channel {value!r} is not known{suggest(value, CHANNELS)}")
    return value


def _like(like: Any, **changed: Any) -> Channel:
    """A channel of Table I with some fields changed; its name lists these, unless another name is given."""
    if not isinstance(like, str) or like not in CHANNELS:
        raise AmcError(f"channel {like!r} is not known{suggest(like, CHANNELS)}")
    changes = " ".join(f"{name.replace('_', ' ')} {value}" for name, value in changed.items() if name != "name")
    name = re.sub(r"[^\w .+-]+", " ", f"{like} {changes}".strip())[:64]
    return replace(CHANNELS[like], **{"name": name} | changed)


def channel_schema() -> dict[str, Any]:
    own = {name: field.schema() for name, field in fields_of(Channel).items()}
    own["like"] = {"enum": list(CHANNELS), "description": "The channel of Table I that the other fields change."}
    return {
        "anyOf": [
            {"enum": list(CHANNELS)},
            {"type": "object", "properties": own, "additionalProperties": False},
        ]
    }


# P1 Table I.
CHANNELS = {
    "awgn": Channel(name="awgn"),
    "rayleigh": Channel((0, 4.5e-6, 8.5e-6), (0, -1, -5), max_doppler=4, name="rayleigh"),
    "rician": Channel((0, 0.25e-6, 3e-6, 8e-6), (0, -2, -10, -3), max_doppler=4, k_factor=4, name="rician"),
    "rayleigh_2": Channel((0, 0.2e-6, 3e-6, 9e-6), (0, -7, -2, -1), max_doppler=8, name="rayleigh_2"),
}
