"""What commands import: an answer should not wait for what it does not need."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sweeps.engine.trial import compute
from sweeps.store import Store
from sweeps.study import load_study

_LIGHT = {"numpy", "pandas", "pyarrow", "pydantic", "yaml"}
_HEAVY = {"torch", "ray", "scipy", "sklearn", "duckdb", "optuna", "matplotlib", "h5py"}
_UNUSED_BY_TABLES = {
    "pyarrow.dataset",
    "sweeps.study.schema",
    "analysis.latex",
    "analysis.networks",
    "analysis.pairwise",
}


def imported(*arguments: str) -> set[str]:
    """The modules that a process has imported when `amc` with these arguments has ended well, and their packages."""
    code = """if True:
        import sys
        from sweeps.__main__ import main

        sys.argv = ["amc", *sys.argv[1:]]
        try:
            main()
        except SystemExit as end:
            assert not end.code, end.code
        print("modules:", *sys.modules, *{name.partition(".")[0] for name in sys.modules})
    """
    ended = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return set(ended.stdout.rpartition("modules:")[2].split())


@pytest.fixture
def computed(study_file, tmp_path) -> tuple[str, str]:
    """A study that is complete in a store, by their paths."""
    path, store = study_file(models="hoc_svm", train="{}", test="{}"), Store(tmp_path / "store")
    study = load_study(path)
    list(compute(study.runs()[0], study.tests(study.runs()[0]), store))
    return path, str(store.path)


def test_help_imports_nothing_that_computes():
    assert not imported("--help") & (_LIGHT | _HEAVY)
    assert not imported("run", "--help") & (_LIGHT - {"pydantic"} | _HEAVY)  # by which Typer checks options


@pytest.mark.parametrize("command", ["results", "plan", "status"])
def test_tables_and_plans_import_neither_torch_nor_ray(command, computed):
    path, store = computed
    assert not imported(command, path, "--store", store) & _HEAVY


def test_the_table_of_results_imports_none_of_what_other_commands_need(computed):
    path, store = computed
    modules = imported("results", path, "--store", store)
    assert "pandas" in modules and not modules & _UNUSED_BY_TABLES


def test_importing_the_package_imports_nothing_that_computes():
    code = "import sys, sweeps, amc_core; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(shown.stdout.split()) & (_LIGHT | _HEAVY)


def completed(line: str, folder: Path) -> list[str]:
    """What bash offers for the last word of a line when Tab is pressed in a folder."""
    script = """
        eval "$(amc --show-completion bash)"
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _amc_completion amc
        printf '%s\n' "${COMPREPLY[@]}"
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        ["bash", "-c", script, "bash", *line.split(" ")],
        cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return ended.stdout.split()


def test_bash_completes_commands_options_scales_shipped_studies_and_study_files(tmp_path):
    (tmp_path / "p1-own.yaml").touch()
    assert completed("amc ru", tmp_path) == ["run", "runs"]
    assert completed("amc run p1-s", tmp_path) == ["p1-stn"]
    assert completed("amc plan p1-fig14 p1-", tmp_path)[-2:] == ["p1-table2", "p1-own.yaml"]
    assert completed("amc results quickstart --sca", tmp_path) == ["--scale"]
    assert completed("amc report quickstart --scale ", tmp_path) == ["smoke", "small", "medium", "paper"]


def test_completing_a_study_imports_nothing_that_computes(monkeypatch):
    for name, value in {"_AMC_COMPLETE": "complete_bash", "COMP_WORDS": "amc run p1-s", "COMP_CWORD": "2"}.items():
        monkeypatch.setenv(name, value)
    assert not imported() & (_LIGHT - {"pydantic"} | _HEAVY)
