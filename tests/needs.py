"""What a test needs of the machine. Where that is missing, the test is skipped; with AMC_TEST_STRICT=1 it fails."""

import importlib
import os
import shutil
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Skip a test for what is not installed, or fail it on a machine that is to have all."""
    if os.environ.get("AMC_TEST_STRICT") == "1":
        pytest.fail(f"{what} is not installed, and AMC_TEST_STRICT=1 lets no test be skipped for that", pytrace=False)
    pytest.skip(f"{what} is not installed")


def needs(what: str, *programs: str, folders: tuple[str, ...] = ()) -> str:
    """The path of the first of some programs that is installed.

    folders: patterns of directories to look in besides PATH, such as "/usr/lib/postgresql/*/bin".
    """
    for program in programs:
        beside = [str(path) for folder in folders for path in sorted(Path("/").glob(f"{folder[1:]}/{program}"))]
        for path in (shutil.which(program), *beside):
            if path:
                return path
    missing(what)


def needs_package(name: str) -> ModuleType:
    """A package that tests alone use."""
    try:
        return importlib.import_module(name)
    except ImportError:
        missing(f"the package {name}")
