"""What tests share: a small study, and the command `amc`."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from amc_core.identity import VERSION
from sweeps.__main__ import main
from tests.amc_core.recording_files import RNG

_START = RNG.bit_generator.state


def pytest_addoption(parser):
    parser.addoption("--write-golden", action="store_true", help="write the golden values anew: use with -k golden")


@pytest.fixture(scope="session")
def golden(request):
    """Golden values of a JSON file and of `identity.VERSION`: (path, values of today) → those that the file has.

    With --write-golden, the file is written from the values of today.
    """

    def values(path: Path, today: dict) -> dict:
        if request.config.getoption("--write-golden"):
            lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in today.items())
            path.write_text(f'{{"version": {VERSION}, "values": {{\n{lines}\n}}}}\n')
        content = json.loads(path.read_text())
        assert content["version"] == VERSION, (
            "VERSION was raised: write golden values (pytest -k golden --write-golden)"
        )
        return content["values"]

    return values


@pytest.fixture(autouse=True)
def same_random_numbers():
    """Each test draws the same samples, whichever tests ran before it in its process."""
    RNG.bit_generator.state = _START


@pytest.fixture(autouse=True)
def one_thread():
    """Two cores are shared with Ray's workers; more threads than cores only wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture
def study_file(tmp_path):
    """Writes a study of a few seconds, with `changes` put in, and returns its path."""

    def write(name: str = "small", **changes: str) -> str:
        sections = {
            "modulations": "[BPSK, 16QAM, GFSK]",
            "snr_db": "[0, 18]",
            "instances": "20",
            "length": "128",
            "models": "[hoc_svm, mod_lcnn]",
            "recipe": "{epochs: 3, batch_size: 16}",
            "train": "{channel: [awgn, rayleigh]}",
            "test": "{channel: [awgn, rician], upsampling: [4, 8]}",
        } | changes
        path = tmp_path / f"{name}.yaml"
        lines = [f"{key}: {value}" for key, value in sections.items() if value is not None]
        path.write_text(textwrap.dedent("\n".join(lines)))
        return str(path)

    return write


@pytest.fixture
def amc(monkeypatch, capsys):
    """Runs the command `amc` in this process: (*arguments) → exit code and output."""

    def run(*arguments: str) -> subprocess.CompletedProcess:
        monkeypatch.setattr(sys, "argv", ["amc", *arguments])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        output, errors = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, code, output, errors)

    return run
