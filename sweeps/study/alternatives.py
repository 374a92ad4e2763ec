"""Lists of alternative values of hyperparameters and of front ends' parameters, expanded to all combinations."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

from amc_core.errors import AmcError
from amc_core.fields import Field
from amc_core.front_end import FrontEnd, front_end
from sweeps.study.code import Code

LARGEST = 20_000  # settings in all grids of a key


def alternatives(known: Field | None, value: Any) -> list:
    """The values meant by `value`: a list is one value if the hyperparameter takes lists, else several values."""
    several = isinstance(value, list) and len(value) > 0 and (known is None or not known.takes(value))
    return value if several and (known is None or any(map(known.takes, value))) else [value]


def combinations(lists: dict[str, list]) -> list[dict[str, Any]]:
    if math.prod(len(values) for values in lists.values()) > LARGEST:
        raise AmcError(f"these lists have more than {LARGEST:,} combinations")
    return [dict(zip(lists, values, strict=True)) for values in product(*lists.values())]


def front_ends(content: Any, code: Code) -> list[FrontEnd | str]:
    """Read front ends: a function's name, or its name with parameters, which may be lists; "" is none."""
    if content == "" or isinstance(content, FrontEnd):
        return [content]
    [(name, given)] = content.items() if isinstance(content, dict) and len(content) == 1 else [(content, {})]
    if not isinstance(name, str) or not isinstance(given, dict):
        form = "'file.function', or {file.function: {parameter: value}}"
        raise AmcError(f"front_end {content!r} is not allowed: it has to be {form}")
    function = code.function(name)
    lists = {key: alternatives(function.signature.get(key), value) for key, value in given.items()}
    return [front_end(function, combination) for combination in combinations(lists)]
