"""The package as it is built and installed."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def done(*command: object, folder: Path) -> str:
    """The output of a command, which has to succeed."""
    shown = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True, timeout=900)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    return shown.stdout


@pytest.mark.full
def test_the_wheel_runs_the_quickstart_from_an_empty_folder(tmp_path):
    """Its dependencies are those of this environment."""
    wheels, environment, folder = (tmp_path / name for name in ("wheels", "environment", "empty"))
    folder.mkdir()
    done(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", wheels, ROOT, folder=tmp_path)
    done(sys.executable, "-m", "venv", environment, folder=tmp_path)
    python = environment / "bin" / "python"
    [wheel] = wheels.glob("amc_sweeps-*.whl")
    done(python, "-m", "pip", "install", "--no-deps", wheel, folder=folder)
    own = Path(done(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=folder).strip())
    (own / "dependencies.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    amc = environment / "bin" / "amc"
    where = done(python, "-c", "import amc_core, sweeps, analysis; print(sweeps.__file__)", folder=folder)
    assert Path(where.strip()).is_relative_to(own)
    assert "kernels: compiled" in done(amc, "--version", folder=folder)
    assert "quickstart is complete: " in done(amc, "run", "quickstart", "--scale", "smoke", folder=folder)
    assert "accuracy in %" in done(amc, "results", "quickstart", "--scale", "smoke", folder=folder)
