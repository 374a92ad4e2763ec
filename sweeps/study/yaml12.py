"""YAML 1.2 (core schema): a scalar that is not a number, a truth value or null is a text.

PyYAML reads version 1.1, in which 1:5 is 65, 010 is 8, on is true, and 1e-3 is a text.
Source: YAML 1.2.2, section 10.3.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from amc_core.errors import AmcError

_TAG = "tag:yaml.org,2002:"
_SCALARS = {  # tag → the pattern of its scalars, and the characters that they may begin with
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "float": (
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    "merge": (r"<<", ["<"]),  # of version 1.1, for anchors in studies
}
_BASES = {"0o": 8, "0x": 16}


def parse_yaml(text: str) -> Any:
    """The value of a YAML text. Raises AmcError with the reason if it is invalid or a mapping has a key twice."""
    try:
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise AmcError(" ".join(str(error).split())) from None


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice instead of keeping the last."""

    yaml_implicit_resolvers: dict = {}  # noqa: RUF012, as PyYAML has it

    def construct_mapping(self, node, deep=False):
        first: dict[str, yaml.ScalarNode] = {}
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if first.setdefault(key.value, key) is not key:
                lines = " and ".join(str(each.start_mark.line + 1) for each in (first[key.value], key))
                raise yaml.YAMLError(f"the key {key.value!r} is given twice (lines {lines})")
        return super().construct_mapping(node, deep)

    def construct_whole(self, node) -> int:
        text = self.construct_scalar(node)
        base = _BASES.get(text[:2])
        return int(text[2:], base) if base else int(text)

    def construct_number(self, node) -> float:
        text = self.construct_scalar(node).lower()
        return float(text.replace(".inf", "inf").replace(".nan", "nan"))


for _name, (_pattern, _first) in _SCALARS.items():
    # `int` comes before `float`, whose pattern takes whole numbers as well.
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(rf"^(?:{_pattern})$"), _first)
_Loader.add_constructor(_TAG + "int", _Loader.construct_whole)
_Loader.add_constructor(_TAG + "float", _Loader.construct_number)
