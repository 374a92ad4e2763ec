"""The user's own code: from the text of a file to the specification of a network's class, and to the class itself.

Hyperparameters are read from the syntax tree of the file. The class is imported only when it is trained, evaluated or
tried. It is imported from the text, not from a file, in modules whose name contains the digest of the text, so that two
versions of a file can be imported by one process.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import math
import re
import socket
import sys
import warnings
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import Any

from amc_core.errors import AmcError, suggest
from amc_core.fields import Field
from amc_core.identity import key
from amc_core.models import PART, ModelSpec

_PACKAGE = "amc_own_"  # followed by the digest: the package of the imported modules
_LONGEST_LIST = 1000
_SHORTEST = 8  # samples, if the class does not give its min_length


class OwnCode(str):
    """The name of an object that the user's own file defines, "my_net.MyNet", with the text of its files.

    sources: path from the study's folder, with slashes → text, of the file and of the files that it imports.
    """

    def __new__(cls, name: str, sources: Mapping[str, str]) -> OwnCode:
        self = super().__new__(cls, name)
        self.sources = dict(sorted(sources.items()))
        return self

    @property
    def path(self) -> str:
        """The path of its file, from the study's folder."""
        return path_of(self.rpartition(".")[0], self.sources)

    @cached_property
    def digest(self) -> str:
        """24 hex digits of the paths and texts."""
        return key(self.sources)

    def imported(self) -> Any:
        """The object of that name in its file, which is imported; None if the file defines none.

        Raises AmcError if the file cannot be imported.
        """
        module, _, name = self.rpartition(".")
        package = _PACKAGE + self.digest
        _finder.sources[package] = self.sources
        try:
            return getattr(importlib.import_module(f"{package}.{module}"), name, None)
        except (Exception, SystemExit) as error:
            where = f"{self.path} cannot be imported on {socket.gethostname()}"
            raise AmcError(f"{where}: {self.message(error)}") from None

    def message(self, error: BaseException) -> str:
        """An exception in words, with the line of the user's own code that it comes from."""
        line, traceback = "", error.__traceback__
        while traceback is not None:
            package, _, path = traceback.tb_frame.f_code.co_filename.partition("/")
            if package == _PACKAGE + self.digest:
                line = f" ({path}, line {traceback.tb_lineno})"
            traceback = traceback.tb_next
        text = " ".join(str(error).split())[:300]
        return f"{type(error).__name__}{f': {text}' if text else ''}{line}"

    def __reduce__(self):
        return type(self), (str(self), self.sources)


class OwnModel(OwnCode):
    """The name of the user's own network."""

    @cached_property
    def spec(self) -> ModelSpec:
        """The specification in its class. Raises AmcError if that is not understood."""
        return spec_of(str(self), self.rpartition(".")[2], self.path, self.sources[self.path], self.path)

    def architecture(self) -> type:
        """The class. Raises AmcError if its file cannot be imported."""
        network = self.imported()
        if not isinstance(network, type):
            raise AmcError(f"{self.path} has no class {self.rpartition('.')[2]!r} once it is imported")
        return network


def parsed(path: str, text: str) -> ast.Module:
    """The syntax tree of a file. Raises AmcError if it is not Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as error:
        raise AmcError(f"{path} is not Python: line {error.lineno}: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise AmcError(f"{path} is not Python: {error}") from None


def path_of(module: str, paths: Mapping[str, Any]) -> str | None:
    """The path of a module among `paths`, by Python's rules; None if there is none."""
    stem = module.replace(".", "/")
    return next((path for path in (f"{stem}/__init__.py", f"{stem}.py") if path in paths), None)


# -- the specification in a class -----------------------------------------------------------------------------


def spec_of(name: str, own: str, path: str, text: str, source: str) -> ModelSpec:
    """The specification of a model, from the class `own` in the text of a file.

    name, source: of the model. path: of the file, for messages. Raises AmcError if the class is not understood.
    """
    classes = {node.name: node for node in parsed(path, text).body if isinstance(node, ast.ClassDef)}
    if own not in classes:
        known = suggest(own, classes) if classes else "; it has none at its top level"
        raise AmcError(f"{path} has no class {own!r}{known}")
    node = classes[own]
    attributes = {target: value for target, value in _assigned(node) if target in _ATTRIBUTES}
    read = {target: _attribute(f"{path}: {own}.{target}", target, value) for target, value in attributes.items()}
    usual = {"min_length": _SHORTEST, "any_length": False, "parts": ()}
    return ModelSpec(
        name=name,
        title=str(name),
        year=0,
        source=source,
        target=name,
        epochs=not any(isinstance(part, ast.FunctionDef) and part.name == "fit" for part in node.body),
        hyperparameters=_hyperparameters(path, node),
        **usual | read,
    )


def _assigned(node: ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    """The names that a class body assigns, and their values."""
    for statement in node.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        value = getattr(statement, "value", None)
        yield from ((target.id, value) for target in targets if isinstance(target, ast.Name) and value is not None)


_ATTRIBUTES = {
    "parts": "a tuple of the parts that a transfer may retrain: names of submodules, such as 'head' or 'blocks.2', "
    "several names joined with +, and 'statistics' for those of batch normalisation",
    "any_length": "True if a trained network takes instances of any length, else False",
    "min_length": "the length of the shortest instance that it takes, a whole number of samples from 1",
    "feature_maps": "a tuple of the names of the submodules that end in the last convolutional layer",
}


def _attribute(where: str, name: str, node: ast.expr) -> Any:
    value = _literal(where, node)
    if isinstance(value, list | tuple) and all(isinstance(entry, str) for entry in value):
        value = tuple(value)
    fits = {
        "parts": isinstance(value, tuple) and all(map(_is_part, value)),
        "any_length": isinstance(value, bool),
        "min_length": isinstance(value, int) and not isinstance(value, bool) and value >= 1,
        "feature_maps": isinstance(value, tuple) and all(isinstance(entry, str) for entry in value),
    }[name]
    if not fits:
        raise AmcError(f"{where} {value!r} is not allowed: it has to be {_ATTRIBUTES[name]}")
    return value


def _is_part(value: str) -> bool:
    return isinstance(value, str) and value != "all" and re.fullmatch(PART, value) is not None


def _hyperparameters(path: str, node: ast.ClassDef) -> dict[str, Field]:
    """Name → declaration, from the signature of a class's __init__."""
    where = f"{path}: {node.name}"
    wanted = "__init__(self, classes, length, …), with hyperparameters that have defaults"
    start = next((part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__"), None)
    if start is None:
        raise AmcError(f"{where} has no __init__ of its own: write {wanted}")
    signature = start.args
    positional = [*signature.posonlyargs, *signature.args]
    if [argument.arg for argument in positional[1:3]] != ["classes", "length"]:
        raise AmcError(f"{where}.__init__ does not have self, classes, length as its first arguments: write {wanted}")
    if signature.vararg or signature.kwarg:
        starred = f"*{signature.vararg.arg}" if signature.vararg else f"**{signature.kwarg.arg}"
        raise AmcError(f"{where}.__init__ has {starred}: write {wanted}, each with a name of its own")
    padding = [None] * (len(positional) - len(signature.defaults))
    pairs = [*zip(positional, [*padding, *signature.defaults], strict=True)][3:]
    pairs += zip(signature.kwonlyargs, signature.kw_defaults, strict=True)
    for argument, default in pairs:
        if default is None:
            raise AmcError(f"{where}: {argument.arg} has no default: give it one, such as {argument.arg}=32")
    return {argument.arg: declaration(where, argument, default) for argument, default in pairs}


def declaration(where: str, argument: ast.arg, default: ast.expr) -> Field:
    """The declaration of a parameter, from its default and its annotation."""
    annotation = ast.unparse(argument.annotation) if argument.annotation else ""
    named = f"{where}: the default of {argument.arg}"
    return _field(named, _literal(named, default), annotation, argument.annotation)


def _literal(where: str, node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise AmcError(
            f"{where} is {ast.unparse(node)[:80]!r}, whose value is unknown before the file runs: write a number, a "
            "text, True, False, None, or a list of numbers"
        ) from None


def _field(where: str, default: Any, annotation: str, node: ast.expr | None) -> Field:
    """The declaration of a hyperparameter, from its default and its annotation."""
    words = set(re.findall(r"\w+", annotation))
    optional = default is None or bool(words & {"None", "Optional"})
    numbers = list(default) if isinstance(default, list | tuple) else [default]
    if default is None:
        if words & {"str", "bool", "list", "tuple", "Literal"}:
            raise AmcError(f"{where} is None, which only a number may be instead: annotate it as int | None")
        return Field(None, optional=True, whole="int" in words)
    if isinstance(default, bool | str):
        choices = _choices(node) if isinstance(default, str) else ()
        if choices and default not in choices:
            raise AmcError(f"{where} {default!r} is not one of {', '.join(choices)}")
        declared = Field(default, choices=choices)
        if not declared.takes(default):
            raise AmcError(f"{where} {default!r} is not allowed: it has to be {declared.allowed}")
        return declared
    if not all(_is_number(number) for number in numbers):
        raise AmcError(
            f"{where} {default!r} is not allowed: it has to be a number, a text, True, False, None, or a list of "
            "numbers"
        )
    whole = all(isinstance(number, int) for number in numbers) and "float" not in words
    numbers = numbers if whole else [float(number) for number in numbers]
    if isinstance(default, list | tuple):
        return Field(numbers, most=_LONGEST_LIST, whole=whole)
    return Field(numbers[0], optional=optional)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _choices(annotation: ast.expr | None) -> tuple[str, ...]:
    """The texts of an annotation Literal["a", "b"], if it is one."""
    if not isinstance(annotation, ast.Subscript) or not ast.unparse(annotation.value).endswith("Literal"):
        return ()
    entries = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
    values = [entry.value for entry in entries if isinstance(entry, ast.Constant)]
    return tuple(value for value in values if isinstance(value, str))


# -- importing from texts -------------------------------------------------------------------------------------


class _Finder(MetaPathFinder, InspectLoader):
    """Finds and loads modules from their texts."""

    def __init__(self):
        self.sources: dict[str, Mapping[str, str]] = {}  # package → path → text

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        package, _, module = fullname.partition(".")
        sources = self.sources.get(package)
        if sources is None or (module and not _has(module, sources)):
            return None
        spec = ModuleSpec(fullname, self, origin=self._file(fullname), is_package=self.is_package(fullname))
        spec.has_location = self._path(fullname) is not None  # so that `inspect`, and with it TorchScript, has the text
        return spec

    def is_package(self, fullname: str) -> bool:
        path = self._path(fullname)
        return path is None or path.endswith("/__init__.py")

    def get_source(self, fullname: str) -> str:
        path = self._path(fullname)
        return "" if path is None else self.sources[fullname.partition(".")[0]][path]

    def get_code(self, fullname: str):
        return self.source_to_code(self.get_source(fullname), self._file(fullname))

    def exec_module(self, module) -> None:
        package = module.__name__.partition(".")[0]
        sources = self.sources[package]

        def imported(name, globals=None, locals=None, fromlist=(), level=0):
            first = name.partition(".")[0]
            if level or not _has(first, sources):
                return builtins.__import__(name, globals, locals, fromlist, level)
            whole = builtins.__import__(f"{package}.{name}", globals, locals, fromlist, 0)
            return whole if fromlist else sys.modules[f"{package}.{first}"]

        module.__builtins__ = vars(builtins) | {"__import__": imported}
        super().exec_module(module)

    def _file(self, fullname: str) -> str:
        """The name of a module's file in tracebacks."""
        package, _, module = fullname.partition(".")
        return f"{package}/{self._path(fullname) or module}"

    def _path(self, fullname: str) -> str | None:
        package, _, module = fullname.partition(".")
        return path_of(module, self.sources[package])


def _has(module: str, sources: Mapping[str, str]) -> bool:
    """Is this one of the modules, or a folder of them?"""
    folder = module.replace(".", "/") + "/"
    return path_of(module, sources) is not None or any(path.startswith(folder) for path in sources)


_finder = _Finder()
sys.meta_path.append(_finder)
