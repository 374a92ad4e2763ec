"""Numbers that users write: one reader, one check, one way to print them.

Spelling does not matter: 8, 8.0, "8" and "0.8e1" are the same number. A bool is not a number.
"""

from __future__ import annotations

import math
import re
from datetime import timedelta
from fractions import Fraction
from numbers import Rational, Real
from typing import Any

from amc_core.errors import AmcError

_DECIMAL = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?"
_NUMBER = re.compile(rf"\s*({_DECIMAL})\s*(?:/\s*({_DECIMAL})\s*)?")
_LONGEST = 40  # characters of a number
_WHOLE = 1e15  # below this, a number without a fraction is printed with all of its digits


def number(value: Any) -> float | None:
    """The number that a value is or spells, None if it is not a number; NaN is not."""
    if isinstance(value, float):
        return None if math.isnan(value) else value + 0.0
    if isinstance(value, str):
        exact = _spelled(value)
        return None if exact is None else _as_float(exact)
    return _as_float(value) if isinstance(value, Real) and _is_no_truth(value) else None


def whole(value: Any) -> int | None:
    """The whole number that a value is or spells, such as 8, 8.0, "8" or "1e2"; None if it is not a whole number."""
    if isinstance(value, str):
        exact = _spelled(value)
        return int(exact) if exact is not None and exact.denominator == 1 else None
    if not isinstance(value, Real) or not _is_no_truth(value):
        return None
    if not isinstance(value, Rational) and not math.isfinite(value):
        return None
    return int(value) if value == int(value) else None


def ratio(value: Any) -> Fraction | None:
    """The number as an exact ratio, None if it is not a number; a rounded third (10.67) stands for that third."""
    if number(value) is None or not math.isfinite(number(value)):
        return None
    text = value if isinstance(value, str) else str(Fraction(value) if isinstance(value, Rational) else float(value))
    exact = _spelled(text)
    if exact is None:
        return None
    third = exact.limit_denominator(3)
    decimals = len(text.strip().partition(".")[2])
    rounds_third = decimals >= 2 and abs(third - exact) <= Fraction(1, 2 * 10**decimals)
    return third if third.denominator == 3 and (rounds_third or float(third) == float(exact)) else exact


def require_number(
    name: str, value: Any, low: float, high: float, unit: str = "", above: bool = False, integer: bool = False
) -> float:
    """The number that `value` is or spells.

    low, high: smallest and largest allowed number; above: `low` itself is not allowed. integer: the number has to be
    whole, and is returned as an int. Raises AmcError, which names the field, the value and what is allowed.
    """
    read = (whole if integer else number)(value)
    if read is None or not low <= read <= high or (above and read == low):
        raise AmcError(f"{name} {value!r} is not allowed: it has to be {allowed(low, high, unit, above, integer)}")
    return read


def allowed(low: float, high: float, unit: str = "", above: bool = False, integer: bool = False) -> str:
    """What `require_number` allows, in words: "a number of Hz from 0 to 1,000,000"."""
    words = ("a whole number" if integer else "a number") + (f" of {unit}" if unit else "")
    if low > -math.inf:
        words += f" {'above' if above else 'from'} {_bound(low)}"
    return words + (f" to {_bound(high)}" if high < math.inf else "")


def written(value: Any, digits: int = 6) -> str:
    """A value as tables, figures and messages print it; "" for an unknown one (None, NaN).

    digits: significant digits of a number with a fraction. A whole number is printed in full.
    """
    if not isinstance(value, Real) or not _is_no_truth(value):
        return "" if value is None else str(value)
    if math.isnan(value):
        return ""
    return str(int(value)) if abs(value) < _WHOLE and value == int(value) else _short(float(value), digits)


def many(count: float, one: str, several: str | None = None) -> str:
    """ "1 run", "1,200 runs", "0.5 GPUs"; several: the plural, by default `one` with an s."""
    number = f"{int(count):,}" if count == int(count) else written(count)
    return f"{number} {one if count == 1 else several or one + 's'}"


def bytes_in_words(size: int) -> str:
    """ "512 bytes", "1.5 kB", "2.3 GB": powers of 1000."""
    if size < 1000:
        return many(int(size), "byte")
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 999.95:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} TB"


def _spelled(text: str) -> Fraction | None:
    match = _NUMBER.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        return None
    above, below = (Fraction(part or 1) for part in match.groups())
    return above / below if below else None


def _as_float(exact: Real) -> float | None:
    try:
        read = float(exact)
    except OverflowError:
        return None
    return None if math.isnan(read) else read


def _is_no_truth(value: Real) -> bool:
    return not isinstance(value, bool)


def _bound(bound: float) -> str:
    return f"{bound:,.0f}" if abs(bound) < _WHOLE and bound == int(bound) else _short(bound)


def _short(value: float, digits: int = 6) -> str:
    return f"{value:.{digits}g}".replace("e-0", "e-").replace("e+", "e")  # 1e-6, 1e15


def duration(seconds: float) -> timedelta:
    """A duration in whole seconds, at least one."""
    return timedelta(seconds=max(1, round(seconds)))
