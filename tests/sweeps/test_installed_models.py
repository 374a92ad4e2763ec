"""Networks that installed packages offer by the entry point `amc.models`."""

import importlib
import pickle
import shutil
import sys

import pytest

from amc_core.errors import AmcError
from amc_core.installed import installed_models
from analysis import load
from sweeps.engine.trial import compute
from sweeps.own_code import changes_of_code, require_working_code
from sweeps.planning import make_plan
from sweeps.study import load_study
from sweeps.study.schema import study_schema

NET = """
import pathlib
import torch
from torch import nn

pathlib.Path(__file__).with_name("marker").touch()

class Theirs(nn.Module):
    any_length = True
    parts = ("head",)

    def __init__(self, classes, length, width=4):
        super().__init__()
        self.features = nn.Conv1d(2, width, 3)
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        return self.head(self.features(x).relu().mean(-1))
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Installs a package of a version that offers "theirs"; removes it in the end."""

    def install(release: str = "1.2", text: str = NET, offered: str = "theirs = their_nets.nets:Theirs"):
        for old in tmp_path.glob("site/*.dist-info"):
            shutil.rmtree(old)
        about = tmp_path / "site" / f"their_nets-{release}.dist-info"
        (tmp_path / "site" / "their_nets").mkdir(parents=True, exist_ok=True)
        about.mkdir(exist_ok=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: their-nets\nVersion: {release}\n")
        (about / "entry_points.txt").write_text(f"[amc.models]\n{offered}\n")
        (tmp_path / "site" / "their_nets" / "__init__.py").write_text("")
        (tmp_path / "site" / "their_nets" / "nets.py").write_text(text)
        importlib.invalidate_caches()  # of what lies in a folder on the path
        installed_models.cache_clear()

    site = str(tmp_path / "site")
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", site)
    yield install
    installed_models.cache_clear()
    for name in [name for name in sys.modules if name.startswith("their_nets")]:
        del sys.modules[name]


@pytest.fixture
def theirs(study_file):
    def write(models: str = "{theirs: {width: [2, 4]}}") -> str:
        return study_file(models=models, train="{}", test="{}", recipe="{epochs: 1, batch_size: 16}")

    return write


def keys(path: str) -> list[str]:
    return [run.key for run in load_study(path).runs()]


def test_its_name_stands_in_a_study_and_its_version_in_the_key(package, theirs, store, tmp_path):
    package()
    first, study = keys(theirs()), load_study(theirs())
    assert len(set(first)) == 2 and not (tmp_path / "site" / "their_nets" / "marker").exists()
    for run in study.runs():
        for _ in compute(pickle.loads(pickle.dumps(run)), [*study.tests(run)], store):
            pass
    assert (tmp_path / "site" / "their_nets" / "marker").exists()
    runs = load("runs", store.path, study)
    assert runs["model"].tolist() == ["theirs"] * 2 and set(runs["code"]) == {"their-nets 1.2"}
    package("1.3")
    plan = make_plan(load_study(theirs()), store)
    assert plan.untrained == 2 and not set(first) & set(keys(theirs())) and changes_of_code(plan, store) == []


def test_the_dry_run_tries_it_and_another_version_on_a_node_is_refused(package, theirs, store):
    package()
    study = load_study(theirs())
    require_working_code(study, make_plan(study, store))
    package("1.3")
    with pytest.raises(AmcError, match=r"their-nets has version 1.3 on .*, and 1.2 where it was planned"):
        study.runs()[0].model.architecture()
    package("2", NET.replace("self.head(", "self.had("))
    broken = load_study(theirs())
    with pytest.raises(AmcError, match="has no attribute 'had'"):
        require_working_code(broken, make_plan(broken, store))


def test_amc_models_lists_it_with_package_and_version(package, amc):
    package()
    shown = amc("models", "--length", "128", "--classes", "7")
    assert shown.returncode == 0 and "theirs" in shown.stdout and "their-nets" in shown.stdout
    alone = amc("models", "theirs")
    assert "their-nets 1.2" in alone.stdout and "width" in alone.stdout and "100" not in alone.stderr


def test_what_it_does_not_take_is_refused_and_a_name_of_ours_stays_ours(package, theirs):
    package()
    with pytest.raises(AmcError, match="model 'theirs' has no hyperparameter 'depth'"):
        load_study(theirs("{theirs: {depth: 3}}"))
    assert "theirs" in str(study_schema())
    package(offered="mod_lcnn = their_nets.nets:Theirs")
    assert not installed_models() and not load_study(theirs("mod_lcnn")).runs()[0].code
    package(offered="theirs = their_nets.none:Theirs")
    with pytest.raises(AmcError, match=r"their_nets.* has no source file"):
        load_study(theirs("theirs"))
