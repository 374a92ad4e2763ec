"""The canonical form of definitions, from which all addresses and keys come.

A definition is a value, a list, a mapping, or a dataclass. Its canonical form is a text that does not depend on the
order of fields or keys, on the spelling of a number, or on fields that have their default. Two definitions are the same
if their canonical forms are.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from numbers import Rational, Real
from typing import Any

# The version of the meaning of definitions. Raise it if a definition gives other samples, weights or counts than
# before: results of different versions are never mixed.
VERSION = 2

_EXACT = 1 << 53  # whole numbers below it are exact as float
_quoted = json.encoder.encode_basestring_ascii


def canonical(value: Any) -> str:
    """The canonical form of a definition, a JSON text.

    A dataclass or string with a method `definition` stands for its result, and another dataclass for its `changes`. A
    dataclass that is part of many others keeps its form as `canonical`. Raises TypeError for values without a canonical
    form: NaN, sets, other objects.
    """
    if isinstance(value, str):
        return canonical(value.definition()) if hasattr(value, "definition") else _quoted(value)
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, float | int) or isinstance(value, Real):  # the first two are known without asking the registry
        return _number(value)
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(canonical, value)) + "]"
    if is_dataclass(value):
        if hasattr(value, "canonical"):
            return value.canonical
        value = value.definition() if hasattr(value, "definition") else changes(value)
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return "{" + ",".join(f"{_quoted(name)}:{canonical(value[name])}" for name in sorted(value)) + "}"
    raise TypeError(f"{value!r} has no canonical form")


def changes(instance: Any) -> dict[str, Any]:
    """The fields of a dataclass that differ from their defaults, by name."""
    values = ((name, getattr(instance, name), default) for name, default in _defaults(type(instance)))
    return {
        name: value
        for name, value, default in values
        if default is MISSING or (value is not default and value != default)
    }


def key(*definitions: Any) -> str:
    """24 hex digits that identify definitions."""
    return _digest(definitions, 12).hex()


def joint_key(*keys: str) -> str:
    """24 hex digits that identify several keys together; quicker than `key`, for millions of cells."""
    return hashlib.blake2b("".join(keys).encode(), digest_size=12).hexdigest()


def address_key(*definitions: Any) -> tuple[int, int]:
    """Two 32-bit words that identify definitions, the Philox key of an address."""
    digest = _digest(definitions, 8)
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")


def stream(name: str) -> int:
    """The 32-bit number of the stream of draws of a name; other names do not change it."""
    return int.from_bytes(_digest(name, 4), "little") | 1 << 31  # the small numbers are `randomness`'s own


def _digest(value: Any, size: int) -> bytes:
    return hashlib.blake2b(canonical(value).encode(), digest_size=size).digest()


@cache
def _defaults(cls: type) -> tuple[tuple[str, Any], ...]:
    """The fields of a dataclass and their defaults."""
    return tuple((f.name, f.default if f.default_factory is MISSING else f.default_factory()) for f in fields(cls))


def _number(value: Real) -> str:
    try:
        inexact = float(value)
    except OverflowError:
        inexact = math.nan
    if inexact == value:
        return str(int(inexact)) if abs(inexact) < _EXACT and inexact == int(inexact) else repr(inexact)
    if isinstance(value, Rational):
        return str(value)  # digits, or "1/3"
    raise TypeError(f"{value!r} has no canonical form")
