"""Networks that installed packages offer, by the entry point `amc.models`: a name, and "module:Class".

The hyperparameters of a class are read from the syntax tree of its file, which is located without importing anything.
The package is imported when the network is trained, evaluated or tried. Its version is part of the key. Imports no
torch.
"""

from __future__ import annotations

import importlib
import socket
import sys
import traceback
from functools import cache, cached_property
from importlib.machinery import PathFinder
from importlib.metadata import entry_points, version
from pathlib import Path

from amc_core.errors import AmcError
from amc_core.models import MODELS, ModelSpec
from amc_core.own import spec_of

GROUP = "amc.models"


class InstalledModel(str):
    """The name of a network of an installed package.

    target: "module:Class". package, release: its distribution and that distribution's planned version.
    """

    def __new__(cls, name: str, target: str, package: str, release: str) -> InstalledModel:
        self = super().__new__(cls, name)
        self.target, self.package, self.release = target, package, release
        return self

    @property
    def digest(self) -> str:
        """Package and version, which identify its content."""
        return f"{self.package} {self.release}"

    @cached_property
    def spec(self) -> ModelSpec:
        """The specification in its class. Raises AmcError if that is not understood."""
        module, _, name = self.target.partition(":")
        path = _file_of(module)
        if path is None:
            raise AmcError(f"model {str(self)!r} of {self.digest}: {module} has no source file")
        try:
            return spec_of(self, name, f"{path.name} of {self.digest}", path.read_text(encoding="utf-8"), self.digest)
        except (OSError, UnicodeDecodeError) as error:
            raise AmcError(f"model {str(self)!r} of {self.digest}: {path.name} cannot be read: {error}") from None

    def architecture(self) -> type:
        """The class. Raises AmcError if the package cannot be imported, or has another version on this machine."""
        module, _, name = self.target.partition(":")
        host = socket.gethostname()
        try:
            here = version(self.package)
            network = getattr(importlib.import_module(module), name, None)
        except (Exception, SystemExit) as error:
            raise AmcError(f"{module} of {self.digest} cannot be imported on {host}: {self.message(error)}") from None
        if here != self.release:
            raise AmcError(f"{self.package} has version {here} on {host}, and {self.release} where it was planned")
        if not isinstance(network, type):
            raise AmcError(f"{module} of {self.digest} has no class {name!r}")
        return network

    def message(self, error: BaseException) -> str:
        """An exception in words, with the line that it comes from."""
        frames = traceback.extract_tb(error.__traceback__)
        line = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
        text = " ".join(str(error).split())[:300]
        return f"{type(error).__name__}{f': {text}' if text else ''}{line}"

    def __reduce__(self):
        return InstalledModel, (str(self), self.target, self.package, self.release)


@cache
def installed_models() -> dict[str, InstalledModel]:
    """Name → network of an installed package; a name in `MODELS` is left to ours.

    Raises AmcError if two packages offer the same name.
    """
    models: dict[str, InstalledModel] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        if entry.dist is None or entry.name in MODELS:
            continue
        model = InstalledModel(entry.name, entry.value.replace(" ", ""), entry.dist.name, entry.dist.version)
        other = models.setdefault(entry.name, model)
        if other.digest != model.digest:
            raise AmcError(f"two packages offer a model {entry.name!r}: {other.digest} and {model.digest}")
    return models


def _file_of(module: str) -> Path | None:
    """The file of a module, without importing its packages; None if it has no Python source."""
    paths, known, name = sys.path, None, ""
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        known = PathFinder.find_spec(name, paths) if paths is not None else None
        if known is None:
            return None
        paths = known.submodule_search_locations
    return Path(known.origin) if known.origin and known.origin.endswith(".py") else None
