"""Paths and names as people write them: .yml, ~, dollars, blanks, line breaks."""

import runpy
import shlex
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from amc_core.errors import AmcError
from amc_core.paths import expanded
from amc_core.recordings.names import modulation_name
from analysis.figures import save
from sweeps.engine.trial import compute
from sweeps.store import Store
from sweeps.study import load_study, parse_scenario, run_command


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home directory, from which commands run."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "home")
    return tmp_path / "home"


def test_a_study_that_ends_in_yml_is_drawn_reported_and_kept_at_home_like_any_other(amc, study_file, home):
    Path(study_file(models="hoc_svm", train="{}", test="{}")).rename(home / "t.yml")
    study, store = load_study("t.yml"), Store("~/st")
    assert study.name == "t" and Path(store.path) == home / "st"
    list(compute(study.runs()[0], study.tests(study.runs()[0]), store))
    assert amc("figures", "~/t.yml", "--store=~/st", "--to=~/drawn").returncode == 0
    assert (home / "drawn" / "t.png").exists() and not (home / "~").exists()
    shown = amc("report", "all", "--store=~/st", "--to", str(home / "all.html"))
    assert shown.returncode == 0 and shown.stdout.startswith("report of t:")


def test_paths_of_a_study_may_begin_at_home(study_file, home):
    with pytest.raises(AmcError, match=f"{home}/data/x.pkl"):
        load_study(study_file(train="{recording: ~/data/x.pkl}"))
    with pytest.raises(AmcError, match=f"{home}/x.pkl"):
        parse_scenario("{recording: ~/x.pkl}").definition()


def test_a_home_that_nobody_knows_is_refused():
    with pytest.raises(AmcError, match="'~nobody-of-this-name/x': no home directory is known"):
        expanded("~nobody-of-this-name/x")


def test_a_study_named_without_its_ending_is_told_of_the_file_beside_it(study_file, home):
    Path(study_file("fading")).rename(home / "fading.yaml")
    with pytest.raises(AmcError, match=r"did you mean 'fading\.yaml'"):
        load_study("fading")


def test_a_name_is_no_mathematics(tmp_path):
    for name in (r"$\frac{$", "a$b$c", r"\$5"):
        figure = Figure()
        axis = figure.subplots()
        axis.plot([1, 1e3], [1, 2], label=name)
        axis.set(title=name, xscale="log")
        axis.legend()
        save(figure, tmp_path / "figure")
        assert figure.axes[0].title.get_text() == name and not figure.axes[0].title.get_parse_math()


def test_a_class_with_a_line_break_in_its_name_has_it_on_one_line():
    assert modulation_name("my\nown  class") == "MY OWN CLASS"


def test_a_command_that_is_told_can_be_pasted_into_a_shell():
    told = run_command("my study.yaml", "/data/$HOME/it's", "small")
    assert shlex.split(told) == ["amc", "run", "my study.yaml", "--scale", "small", "--store", "/data/$HOME/it's"]


def test_every_picture_of_the_documentation_is_drawn_by_one_command_from_studies_that_load():
    root = Path(__file__).parents[2]
    target = (root / "Makefile").read_text().partition("\npictures:")[2].partition("\n\n")[0]
    drawn = {Path(line.split()[2]).name for line in target.splitlines() if line.split()[:1] == ["cp"]}
    drawn |= {f"{name}.png" for name in runpy.run_path(str(root / "docs" / "pictures.py"))["PICTURES"]}
    assert drawn == {path.name for path in (root / "docs").glob("*.png")}
    for line in target.splitlines():
        if "amc run" in line:
            names = line.partition("amc run ")[2].partition(" --")[0].split()
            assert all(load_study(str(root / name) if "/" in name else name).runs() for name in names)
