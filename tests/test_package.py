"""The package as it is built, and as a user without this repository installs it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import needs, needs_package

ROOT = Path(__file__).parents[1]


def output(*command: object, folder: Path, **settings: str) -> str:
    """The output of a command, which has to succeed, in a folder and without this repository on Python's path."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | settings
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


COUNTS = "SELECT run, weights, cell, snr_db, n, correct FROM cells ORDER BY ALL"


def quickstart(amc: Path, folder: Path) -> str:
    """The weights and counts of the quickstart, computed in an empty folder."""
    folder.mkdir()
    size = ("quickstart", "--scale", "smoke")
    assert "quickstart is complete: " in output(amc, "run", *size, folder=folder)
    assert "accuracy in %" in output(amc, "results", *size, folder=folder)
    output(amc, "query", COUNTS, "--csv", "counts.csv", folder=folder)
    counts = (folder / "counts.csv").read_text()
    assert len(counts.splitlines()) > 100
    return counts


@pytest.mark.full
def test_the_wheel_and_the_sdist_compute_the_same_quickstart_with_and_without_a_compiler(tmp_path):
    needs_package("build")
    needs("a C compiler", "cc", "gcc")
    output(sys.executable, "-m", "build", "--outdir", tmp_path / "dist", ROOT, folder=tmp_path)
    [wheel], [sdist] = ((tmp_path / "dist").glob(f"amc_sweeps-*{ending}") for ending in (".whl", ".tar.gz"))
    output(sys.executable, "-m", "venv", tmp_path / "environment", folder=tmp_path)
    python, amc = (tmp_path / "environment" / "bin" / name for name in ("python", "amc"))

    output(python, "-m", "pip", "install", "--quiet", wheel, folder=tmp_path)
    path = output(python, "-c", "import amc_core, sweeps, analysis; print(sweeps.__file__)", folder=tmp_path)
    assert Path(path.strip()).is_relative_to(tmp_path / "environment")
    assert "kernels: compiled" in output(amc, "--version", folder=tmp_path)
    compiled = quickstart(amc, tmp_path / "compiled")

    reinstall = ("--quiet", "--force-reinstall", "--no-deps", "--no-cache-dir")
    output(python, "-m", "pip", "install", *reinstall, sdist, folder=tmp_path, CC="false")
    assert "built without a C compiler" in output(amc, "--version", folder=tmp_path)
    assert quickstart(amc, tmp_path / "without") == compiled
