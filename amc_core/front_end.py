"""The user's own front end: a function of I/Q, of uniform random numbers that follow from the address, and parameters.

``def clip(iq, uniform, level: float = 1.0)`` is given iq (batch, length) complex64, each instance of unit mean power,
and uniform (batch, draws) float32 in (0, 1), and returns the received iq, of the same shape. Its parameters are read
from the syntax tree of its file, as those of a network are. `own_receiver` calls it. Imports no torch.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from amc_core.distributions import Distribution
from amc_core.errors import AmcError, suggest
from amc_core.fields import Field, plain
from amc_core.own import OwnCode, declaration, parsed
from amc_core.quantities import written

_WANTED = "(iq, uniform, …), followed by parameters"
_RECORDED = {"name": str, "digest": str, "parameters": Mapping}
_RATE = "sample_rate"  # a parameter of this name is the receiver's, in Hz; a study does not set it
_NUMBER = Field(0.0, varies=True)  # of a parameter without a default


class OwnFunction(OwnCode):
    """The name of the user's own function, "my_rx.clip"."""

    @cached_property
    def signature(self) -> dict[str, Field | None]:
        """Name of a parameter → declaration; None for one without a default, which is a number and has to be given.

        Raises AmcError if the function cannot be a front end.
        """
        arguments = _arguments(self.path, self.sources[self.path], self.rpartition(".")[2])
        return {name: known for name, known in arguments.items() if name != _RATE}

    @cached_property
    def takes_rate(self) -> bool:
        """Does it ask for the sample rate?"""
        return _RATE in _arguments(self.path, self.sources[self.path], self.rpartition(".")[2])

    def load(self) -> Callable:
        """The function. Raises AmcError if its file cannot be imported."""
        function = self.imported()
        if not callable(function):
            raise AmcError(f"{self.path} has no function {self.rpartition('.')[2]!r} once it is imported")
        return function


@dataclass(frozen=True, repr=False)
class FrontEnd:
    """A front end with its parameters; two are equal if name, digest of the code and parameters are.

    parameters: pairs of name and value, which is a float or a `Distribution` if the parameter's default is a float.
    function: None if it was read from a record, which is enough for tables but not for a simulation.
    """

    name: str
    digest: str
    parameters: tuple[tuple[str, Any], ...] = ()
    function: OwnFunction | None = field(default=None, compare=False)

    def load(self) -> Callable:
        """The function. Raises AmcError if its code is missing or cannot be imported."""
        if self.function is None:
            raise AmcError(f"front_end {self.name} is your own code: only commands that are given its study can run it")
        return self.function.load()

    def definition(self) -> dict[str, Any]:
        """What identifies the front end."""
        return {"name": self.name, "digest": self.digest, "parameters": dict(self.parameters)}

    def as_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold, from which `read_front_end` makes an equal front end."""
        return self.definition() | {"parameters": {name: plain(value) for name, value in self.parameters}}

    def covers(self, other: FrontEnd, could_be: Callable[[Any, Any], bool]) -> bool:
        """Is it the same function, with parameters that could be drawn as the other's?"""
        own, others = dict(self.parameters), dict(other.parameters)
        same = (self.name, self.digest, {*own}) == (other.name, other.digest, {*others})
        return same and all(could_be(own[name], others[name]) for name in own)

    @property
    def varies(self) -> bool:
        """Has it a parameter that is drawn?"""
        return any(isinstance(value, Distribution) for _, value in self.parameters)

    def __str__(self) -> str:
        """Name and parameters: "my_rx.clip level 0.5"."""
        return " ".join([self.name, ", ".join(f"{name} {_text(value)}" for name, value in self.parameters)]).strip()

    __repr__ = __str__

    @property
    def label(self) -> str:
        """As tables have it, with the start of the digest: "my_rx.clip level 0.5 (3f2a12)"."""
        return f"{self} ({self.digest[:6]})"


def front_end(function: OwnFunction, given: Mapping[str, Any]) -> FrontEnd:
    """A front end with these parameters, defaults filled in. Raises AmcError for what the function does not take."""
    signature = function.signature
    for name in given:
        if name not in signature:
            choice = suggest(name, signature) if signature else "; it has none"
            raise AmcError(f"front_end {function} has no parameter {name!r}{choice}")
    read = []
    for name, known in signature.items():
        if known is None and name not in given:
            raise AmcError(f"front_end {function}: {name} has no default: give it a number")
        known = known or _NUMBER
        value = known.read(f"front_end {function}: {name}", given.get(name, known.default))
        read.append((name, tuple(value) if isinstance(value, list) else value))
    return FrontEnd(str(function), function.digest, tuple(read), function)


def read_front_end(value: Any) -> FrontEnd | str:
    """A `FrontEnd` as it is, or from its `as_dict`; "" for none."""
    if isinstance(value, FrontEnd) or value == "":
        return value
    if not isinstance(value, Mapping) or set(value) != {*_RECORDED}:
        raise AmcError(
            f"front_end {str(value)[:200]} is not known: allowed is a function of a file in code, {{my_rx.clip: …}}"
        )
    for name, kind in _RECORDED.items():
        if not isinstance(value[name], kind):
            raise AmcError(f"front_end: {name} {str(value[name])[:100]!r} is not allowed")
    parameters = {name: _from_plain(name, part) for name, part in value["parameters"].items()}
    return FrontEnd(value["name"], value["digest"], tuple(parameters.items()))


def front_end_schema() -> dict[str, Any]:
    """JSON Schema of a front end in a study: the name of a function, perhaps with its parameters."""
    name = r"^\w+(\.\w+)+$"
    own = {"type": "object", "patternProperties": {name: {"type": "object"}}, "additionalProperties": False}
    return {"anyOf": [{"type": "string", "pattern": name}, own | {"minProperties": 1, "maxProperties": 1}]}


def _from_plain(name: str, value: Any) -> Any:
    read = _NUMBER.read(name, value) if isinstance(value, Mapping) else value
    return tuple(read) if isinstance(read, list) else read


def _text(value: Any) -> str:
    return "[" + ", ".join(map(written, value)) + "]" if isinstance(value, tuple) else written(value)


def _arguments(path: str, text: str, name: str) -> dict[str, Field | None]:
    """Argument after the first two → declaration, None where it has no default."""
    functions = {node.name: node for node in parsed(path, text).body if isinstance(node, ast.FunctionDef)}
    if name not in functions:
        known = suggest(name, functions) if functions else "; it has none at its top level"
        raise AmcError(f"{path} has no function {name!r}{known}")
    signature, where = functions[name].args, f"{path}: {name}"
    positional = [*signature.posonlyargs, *signature.args]
    if [argument.arg for argument in positional[:2]] != ["iq", "uniform"]:
        raise AmcError(f"{where} does not have iq and uniform as its first arguments: write {name}{_WANTED}")
    if signature.vararg or signature.kwarg:
        starred = f"*{signature.vararg.arg}" if signature.vararg else f"**{signature.kwarg.arg}"
        raise AmcError(f"{where} has {starred}: write {name}{_WANTED}, each with a name of its own")
    padding = [None] * (len(positional) - len(signature.defaults))
    pairs = [*zip(positional, [*padding, *signature.defaults], strict=True)][2:]
    pairs += zip(signature.kwonlyargs, signature.kw_defaults, strict=True)
    return {argument.arg: _declaration(where, argument, default) for argument, default in pairs}


def _declaration(where: str, argument: ast.arg, default: ast.expr | None) -> Field | None:
    known = None if default is None else declaration(where, argument, default)
    return replace(known, varies=True) if known is not None and isinstance(known.default, float) else known
