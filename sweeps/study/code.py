"""The user's own files that a study names: their classes, and what they import from one another.

They are read as texts. This module does not import them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path, PurePosixPath
from typing import Any

from amc_core.errors import AmcError
from amc_core.front_end import OwnFunction
from amc_core.installed import installed_models
from amc_core.models import MODELS
from amc_core.own import OwnCode, OwnModel, parsed, path_of

_LARGEST = 1 << 20  # bytes of a file
_INSTALLED = ("amc_core", "analysis", "sweeps")  # a study beside the sources of this program means the installed ones


@dataclass(frozen=True)
class Code:
    """texts: path from the study's folder → content. imports: path → the paths among them that it imports."""

    texts: dict[str, str] = field(default_factory=dict)
    imports: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def model(self, name: Any) -> Any:
        """The model of that name: a class of the files, "my_net.MyNet", or of an installed package; else the name.

        Raises AmcError for a class that does not exist or cannot be a model.
        """
        module, dot, _ = name.rpartition(".") if isinstance(name, str) else ("", "", "")
        if isinstance(name, str) and name not in MODELS and name in installed_models():
            return installed_models()[name]
        if not dot or name in MODELS:
            return name
        path = path_of(module, self.texts)
        if path is None:
            named = f"code names {', '.join(self.texts)}" if self.texts else "the study has no code"
            raise AmcError(f"model {name!r} is not known: file.Class names a class of a file in code, but {named}")
        model = OwnModel(name, {part: self.texts[part] for part in self._closure(path)})
        assert model.spec  # raises AmcError if the class cannot be a model
        return model

    def function(self, name: Any) -> OwnFunction:
        """A function of the files as a front end, "my_rx.clip". Raises AmcError unless it exists and can be one."""
        module = name.rpartition(".")[0] if isinstance(name, str) else ""
        path = path_of(module, self.texts) if module else None
        if path is None:
            named = f"code names {', '.join(self.texts)}" if self.texts else "the study has no code"
            raise AmcError(
                f"front_end {name!r} is not known: file.function names a function of a file in code, but {named}"
            )
        function = OwnFunction(name, {part: self.texts[part] for part in self._closure(path)})
        assert function.signature is not None  # raises AmcError if it cannot be a front end
        return function

    def _closure(self, path: str) -> list[str]:
        """A file and all that it imports, directly or not."""
        closure = [path]
        for entry in closure:
            closure += [part for part in self.imports[entry] if part not in closure]
        return closure


def read_code(content: Any, folder: Path) -> Code:
    """Read the files that a study's key `code` names, one path or a list, from the study's folder.

    Raises AmcError if a path is not in the folder, a file is not Python, or a file imports one of the folder that is
    not named.
    """
    entries = content if isinstance(content, list | tuple) else [content]
    texts: dict[str, str] = {}
    for entry in entries:
        path = _path(entry)
        if path in texts:
            raise AmcError(f"code: {path} is listed twice")
        texts[path] = _text(path, folder)
    try:
        return Code(texts, {path: _imported(path, text, texts, folder) for path, text in texts.items()})
    except AmcError as error:
        raise AmcError(f"code: {error}") from None


def require_code(model: OwnCode, files: Sequence[str | Path]) -> None:
    """Raise AmcError unless the files are, by name and content, those of this code of the user's own."""
    given = [Path(file) for file in files]
    texts = {}
    for path in model.sources:
        parts = PurePosixPath(path).parts
        file = next((file for file in given if file.absolute().parts[-len(parts) :] == parts), None)
        if file is None:
            named = " ".join(f"--code {each}" for each in model.sources)
            raise AmcError(f"{model} is code of your own, which is imported only if you name it: give {named}")
        texts[path] = _text(file.name, file.parent)
    digest = type(model)(model, texts).digest
    if digest != model.digest:
        problem = f"was trained with code of digest {model.digest[:8]}…, but the code given has {digest[:8]}…"
        raise AmcError(f"{model} {problem}: weights are used only with the code that trained them")


def _path(entry: Any) -> str:
    path = PurePosixPath(entry) if isinstance(entry, str) else None
    parts = [*path.parts[:-1], path.stem] if path else []
    if not parts or path.suffix != ".py" or not all(part.isidentifier() for part in parts):
        raise AmcError(
            f"code: {entry!r} is not allowed: name Python files in the study's folder or below it, such as my_net.py"
        )
    return str(path)


def _text(path: str, folder: Path) -> str:
    """The content of a file, with Unix line ends."""
    try:
        content = (folder / path).read_bytes()
        if len(content) > _LARGEST:
            raise AmcError(f"code: {path} has {len(content):,} bytes: at most {_LARGEST:,} are allowed")
        return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except OSError as error:
        raise AmcError(f"code: {str(folder / path)!r} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise AmcError(f"code: {path} is not text in UTF-8") from None


def _imported(path: str, text: str, texts: dict[str, str], folder: Path) -> tuple[str, ...]:
    """The files among `texts` that a file imports. Raises AmcError if it imports one of the folder that is not."""
    files = {}
    for module in _modules(path, parsed(path, text)):
        listed = path_of(module, texts)
        if listed is not None:
            files[listed] = None
            continue
        stem = module.replace(".", "/")
        beside = next((f for f in (f"{stem}/__init__.py", f"{stem}.py") if (folder / f).is_file()), None)
        if beside and module.partition(".")[0] not in _INSTALLED:
            raise AmcError(f"{path} imports {beside} of the study's folder, which code does not name: add it to code")
    files.pop(path, None)
    return tuple(files)


def _modules(path: str, tree: ast.Module) -> Iterator[str]:
    """The names of all modules that a file may import, from the study's folder, packages before their modules."""
    package = PurePosixPath(path).parts[:-1]
    yield from _prefixes(package)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _prefixes(alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            if node.level > len(package) + 1:
                raise AmcError(f"{path}, line {node.lineno}: the import goes above the study's folder")
            base = (*base, *(node.module.split(".") if node.module else ()))
            yield from _prefixes(base)
            yield from (".".join((*base, alias.name)) for alias in node.names if alias.name != "*")


def _prefixes(parts: Any) -> Iterator[str]:
    return accumulate(parts, lambda before, part: f"{before}.{part}")
