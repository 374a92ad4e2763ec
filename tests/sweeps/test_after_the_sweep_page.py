"""docs/after-the-sweep.md: its study is computed, and its commands and Python run, as the page says."""

import re
import shlex
from pathlib import Path

import pytest

from amc_core.recipes import RECIPES
from sweeps.engine.trial import compute
from sweeps.store import Store
from sweeps.study import load_study, shipped

PAGE = (Path(__file__).parents[2] / "docs" / "after-the-sweep.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
STUDY, LIKE = (text for kind, text in BLOCKS if kind == "yaml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the page's study, computed into the directory results."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "four.yaml").write_text(STUDY)
    study, store = load_study(str(folder / "four.yaml")), Store(folder / "results")
    for run in study.runs():
        list(compute(run, list(study.tests(run)), store))
    return folder


def test_every_command_and_every_line_of_python_of_the_page_runs(folder, monkeypatch, amc):
    monkeypatch.chdir(folder)
    for kind, text in BLOCKS:
        if kind == "sh":
            for line in text.splitlines():
                done = amc(*shlex.split(line)[1:])
                assert done.returncode == 0, f"{line}: {done.stderr}"
        elif kind == "python":
            exec(compile(text, "page", "exec"), {})
    for name in ("net.onnx", "cumulants.onnx", "net.safetensors", "net.py", "segments.csv"):
        assert (folder / name).is_file()
    assert (folder / "figures" / "four-calibration.png").is_file()
    listed = amc("query", "SELECT run, model, train_channel FROM runs")
    assert "mod_lcnn" in listed.stdout


def test_the_recipes_and_studies_that_the_page_names_are_there():
    assert all(f"`{name}`" in PAGE for name in RECIPES)
    named = re.findall(r"`(benchmark-[\w-]+)`", PAGE)
    assert sorted(named) == [name for name in shipped() if name.startswith("benchmark-")]
    assert [run.recipe.plateau_factor for run in load_study(LIKE).runs()] == [0.5, 0.8]
