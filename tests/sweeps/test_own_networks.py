"""Networks of the user's own: files beside the study, whose content is part of the key and travels with the run."""

import json
import pickle
import sys

import pytest
from jsonschema import Draft202012Validator

from amc_core.errors import AmcError
from amc_core.identity import key
from amc_core.own import OwnModel
from analysis import load
from sweeps.engine.trial import compute
from sweeps.own_code import changes_of_code
from sweeps.planning import make_plan
from sweeps.study import load_study
from sweeps.study.schema import study_schema

NET = """
import torch
from torch import nn
from helper import Activation

class MyNet(nn.Module):
    any_length = True
    parts = ("head",)

    def __init__(self, classes, length, width=4, kernels=(3, 5), dropout: float = 0, mode="mean"):
        super().__init__()
        sizes = zip([2, *[width] * len(kernels)], kernels)
        layers = [nn.Conv1d(channels, width, size, padding="same") for channels, size in sizes]
        self.features = nn.Sequential(*(part for layer in layers for part in (layer, Activation())))
        self.dropout, self.head = nn.Dropout(dropout), nn.Linear(width, classes)

    def forward(self, x):
        return self.head(self.dropout(self.features(x).mean(-1)))
"""
HELPER = "from torch import nn\nActivation = nn.ReLU\n"


@pytest.fixture
def own_study(study_file, tmp_path):
    """Writes a study with a network of one's own, and returns its path; files: name → content of others or changed."""

    def write(files: dict[str, str] | None = None, **changes: str) -> str:
        for name, text in ({"my_net.py": NET, "helper.py": HELPER, "other.py": "X = 1\n"} | (files or {})).items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(text.encode())
        usual = {"code": "[my_net.py, helper.py, other.py]", "models": "my_net.MyNet", "train": "{}"}
        return study_file(**usual | {"recipe": "{epochs: 1, batch_size: 16}"} | changes)

    return write


def keys(path: str) -> list[str]:
    return [run.key for run in load_study(path).runs()]


def test_hyperparameters_come_from_the_signature_and_a_list_is_an_axis(own_study):
    path = own_study(models="{my_net.MyNet: {width: [2, 4], kernels: [[3], [3, 5, 7]], dropout: 1e-1}}")
    runs = load_study(path).runs()
    assert [(run.hyperparameters["width"], run.hyperparameters["kernels"]) for run in runs] == [
        (2, [3]), (2, [3, 5, 7]), (4, [3]), (4, [3, 5, 7])
    ]  # fmt: skip
    assert {run.hyperparameters["dropout"] for run in runs} == {0.1}
    assert {run.hyperparameters["mode"] for run in runs} == {"mean"}


def test_a_width_of_ones_own_network_can_be_searched_and_a_proposal_needs_no_files(own_study, tmp_path):
    search = {"models": "{my_net.MyNet: {width: {int: [2, 8]}}}", "search": "{proposals: 3}"}
    study = load_study(own_study(test="{channel: [awgn, rician]}", **search))
    (tmp_path / "my_net.py").unlink()
    sent = pickle.loads(pickle.dumps(study))
    [run] = sent.proposal({"models.my_net.MyNet.width": 7}).runs()
    assert run.hyperparameters["width"] == 7 and run.code == study.ends[0].runs()[0].code


def test_an_activation_changes_the_key_and_so_does_a_helper_that_is_imported_but_no_unrelated_file(own_study):
    before = keys(own_study())
    assert keys(own_study({"other.py": "X = 2\n"})) == before
    assert keys(own_study(code="[helper.py, my_net.py]")) == before
    changed = keys(own_study({"helper.py": HELPER.replace("ReLU", "Sigmoid")}))
    assert changed != before
    assert keys(own_study({"my_net.py": NET.replace("Dropout", "AlphaDropout")})) not in (before, changed)


def test_line_ends_and_a_byte_order_mark_do_not_change_the_key(own_study):
    before = keys(own_study())
    assert keys(own_study({"my_net.py": "\ufeff" + NET.replace("\n", "\r\n")})) == before


def test_the_key_has_the_digest_of_the_files_that_are_imported_and_the_class(own_study):
    [run] = load_study(own_study()).runs()
    assert run.model.sources == {"helper.py": HELPER, "my_net.py": NET}
    assert run.code == key({"helper.py": HELPER, "my_net.py": NET})
    assert run.definition()["code"] == run.code and run.definition()["model"] == "my_net.MyNet"


def test_files_in_folders_import_each_other_by_relative_and_absolute_names(own_study):
    files = {
        "nets/deep.py": "from .parts import blocks\nfrom helper import Activation\n"
        + NET.replace("helper", ".parts.acts"),
        "nets/parts/blocks.py": "import nets.parts.acts as acts\n",
        "nets/parts/acts.py": "import helper\nActivation = helper.Activation\n",
    }
    for name in ("nets", "nets/parts"):
        files = {f"{name}/__init__.py": ""} | files
    path = own_study(files, code=f"[helper.py, {', '.join(files)}]", models="nets.deep.MyNet")
    [run] = load_study(path).runs()
    assert {*run.model.sources} == {"helper.py", *files}
    assert run.model.architecture().__name__ == "MyNet"
    assert "helper" not in sys.modules and "nets" not in sys.modules


def test_two_versions_of_a_file_live_in_one_process(own_study):
    from torch import nn

    [first] = load_study(own_study()).runs()
    [second] = load_study(own_study({"helper.py": HELPER.replace("ReLU", "Sigmoid")})).runs()
    kinds = [type(run.model.architecture()(3, 128).features[1]) for run in (first, second, first)]
    assert kinds == [nn.ReLU, nn.Sigmoid, nn.ReLU]


def test_a_run_goes_from_the_text_to_the_tables_without_the_files_and_old_rows_stay(own_study, store, tmp_path):
    before = load_study(own_study())
    old = pickle.loads(pickle.dumps(before))
    for name in ("my_net.py", "helper.py"):
        (tmp_path / name).unlink()  # as on a node that does not have them
    [run] = old.runs()
    *_, last = compute(run, old.tests(run), store)
    assert last["cells"] == len(old.tests(run)) == 4
    assert store.run(run.key).record().code == run.code and store.run(run.key).code() == run.model.sources
    after = load_study(own_study({"helper.py": HELPER.replace("ReLU", "Sigmoid")}))
    plan = make_plan(after, store)
    assert plan.untrained == 1 and plan.missing_cells == 4
    assert changes_of_code(plan, store) == [
        f"helper.py changed since {run.code[:4]}…: 1 run is new; the old results stay in the store."
    ]
    assert changes_of_code(make_plan(load_study(own_study()), store), store) == []
    rows = load("cells", store.path)
    assert {*rows["code"]} == {run.code} and len(rows) == 8
    assert load("cells", store.path, after).empty and len(load("cells", store.path, load_study(own_study()))) == 8


def test_a_transfer_retrains_the_submodules_that_the_class_names(own_study, store):
    files = {"my_net.py": NET.replace('("head",)', '("head", "features.2+head", "features")')}
    transfer = "{recipe: {retrain: [head, features.2+head, all]}, train: {channel: rayleigh}}"
    study = load_study(own_study(files, transfer=transfer))
    parent, *children = study.runs()
    for run in (parent, *children):
        list(compute(run, study.tests(run), store))
    start, changed = store.run(parent.key).weights(), {}
    for run in children:
        end = store.run(run.key).weights()
        changed[run.recipe.retrain] = {name for name in start if not start[name].equal(end[name])}
    head, second = {"head.weight", "head.bias"}, {"features.2.weight", "features.2.bias"}
    assert changed["head"] == head and changed["features.2+head"] == head | second and changed["all"] == {*start}
    with pytest.raises(
        AmcError, match=r"retrain 'tail' is not allowed for my_net.MyNet; allowed are all, head, features.2\+head, feat"
    ):
        load_study(own_study(files, transfer="{recipe: {retrain: tail}}")).runs()


def test_reading_commands_never_import_the_code_and_a_tampered_record_of_it_neither(own_study, store, amc, tmp_path):
    marker = tmp_path / "imported"
    marked = f"open({str(marker)!r}, 'a').write('x')\n"
    path = own_study({"helper.py": HELPER + marked})
    study = load_study(path)
    [run] = study.runs()
    list(compute(run, study.tests(run), store))
    assert marker.exists()  # where it is trained
    marker.unlink()
    [name] = store.run(run.key).names("code")
    record = tmp_path / "store" / "runs" / run.key / name
    record.write_text(json.dumps({"my_net.py": marked, "helper.py": marked}))
    at = ("--store", str(store.path))
    changed = own_study({"helper.py": HELPER + marked + "\n"})
    for command in (
        ("plan", changed, *at),
        ("status", changed, *at),
        ("results", path, *at),
        ("query", "SELECT code FROM runs", *at),
        ("report", own_study({"helper.py": HELPER + marked}), *at, "--to", str(tmp_path / "report.html")),
        ("figures", path, *at, "--to", str(tmp_path / "figures")),
    ):
        end = amc(*command)
        assert end.returncode == 0, end.stderr
    assert not marker.exists()
    assert store.run(run.key).code() == {}  # not what was written


def test_a_network_that_cannot_be_trained_ends_a_launch_with_exit_code_2_before_ray(own_study, store, amc, monkeypatch):
    monkeypatch.setattr("sweeps.engine.launch.launch", lambda *given, **named: pytest.fail("it was launched"))
    path = own_study({"my_net.py": NET.replace("self.head(", "self.head.weight.new_ones(2, 2) * self.head(")})
    end = amc("run", path, "--store", str(store.path))
    assert end.returncode == 2 and not store.listing().names
    assert end.stderr.startswith("amc: my_net.MyNet(classes=3, length=128, width=4, kernels=[3, 5]")
    end = amc("run", own_study({"my_net.py": NET.replace("classes)", "classes + 1)")}), "--store", str(store.path))
    assert end.returncode == 2 and "gives shape (2, 4) for two instances: it has to give logits of shape" in end.stderr


def test_a_plan_says_when_a_network_has_not_been_timed_and_mixes_what_is_known_once_it_has(own_study, store, amc):
    path, at = own_study(), ("--store", str(store.path))
    assert "is not known before a run of my_net.MyNet is trained" in amc("plan", path, *at).stdout
    [plan] = make_plan(load_study(path), store).incomplete
    list(compute(plan.run, load_study(path).tests(plan.run), store))
    shown = amc("plan", own_study(models="[my_net.MyNet, mod_lcnn]", seeds="[1]"), *at).stdout
    assert "else by rates of one core of an AMD EPYC with AVX2, that is about 0:00:0" in " ".join(shown.split())


def test_saliency_asks_for_the_code_that_trained_the_network(own_study, store, amc, tmp_path):
    marker = tmp_path / "imported"
    seen = NET.replace("any_length", "feature_maps = ('features',)\n    any_length")
    path = own_study({"my_net.py": seen, "helper.py": HELPER + f"open({str(marker)!r}, 'a').close()\n"})
    study = load_study(path)
    [run] = study.runs()
    list(compute(run, study.tests(run), store))
    marker.unlink()
    told = ("saliency", path, "--store", str(store.path), "--layer", "-1", "--to", str(tmp_path / "figures"))
    files = [str(tmp_path / name) for name in ("my_net.py", "helper.py")]
    end = amc(*told)
    assert end.returncode == 2 and "give --code helper.py --code my_net.py" in end.stderr and not marker.exists()
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "helper.py").write_text(HELPER)
    end = amc(*told, "--code", files[0], "--code", str(tmp_path / "old" / "helper.py"))
    assert end.returncode == 2 and f"code of digest {run.code[:8]}" in end.stderr and not marker.exists()
    end = amc(*told, "--code", files[0], "--code", files[1])
    assert end.returncode == 0, end.stderr


@pytest.mark.parametrize(
    ("files", "changes", "told"),
    [
        ({}, {"code": "[my_net.py]"}, "my_net.py imports helper.py of the study's folder, which code does not name"),
        ({}, {"code": "[my_net.py, none.py, helper.py]"}, "none.py' cannot be read: No such file"),
        ({}, {"code": "[../my_net.py]"}, "'../my_net.py' is not allowed: name Python files in the study's folder"),
        ({}, {"code": "[my-net.py]"}, "'my-net.py' is not allowed: name Python files"),
        ({}, {"code": "[my_net.py, my_net.py]"}, "my_net.py is listed twice"),
        ({"my_net.py": "def f(:\n"}, {}, "my_net.py is not Python: line 1: "),
        ({}, {"models": "my_net.MyNot"}, "my_net.py has no class 'MyNot'; did you mean 'MyNet'? (known: MyNet)"),
        ({}, {"models": "mine.MyNet"}, "model 'mine.MyNet' is not known: file.Class names a class of a file in code"),
        ({}, {"code": "[]"}, "model 'my_net.MyNet' is not known: file.Class names a class of a file in code, but"),
        ({}, {"models": "{my_net.MyNet: {widht: 3}}"}, "no hyperparameter 'widht'; did you mean 'width'?"),
        ({}, {"models": "{my_net.MyNet: {width: 3.5}}"}, "width 3.5 is not allowed: it has to be a whole number"),
        ({}, {"models": "{my_net.MyNet: {kernels: [[3.5]]}}"}, "is not allowed: it has to be a list of at most 1000"),
        ({"my_net.py": NET.replace("width=4", "width")}, {}, "MyNet: width has no default: give it one"),
        ({"my_net.py": NET.replace("width=4", "width=2 ** 2")}, {}, "the default of width is '2 ** 2'"),
        ({"my_net.py": NET.replace("classes, length", "length, classes")}, {}, "does not have self, classes, length"),
        ({"my_net.py": NET.replace('mode="mean"', "**options")}, {}, "MyNet.__init__ has **options: write"),
        ({"my_net.py": NET.replace("any_length = True", "any_length = 1")}, {}, "any_length 1 is not allowed: it"),
        ({"my_net.py": NET.replace('("head",)', '("all",)')}, {}, "parts ('all',) is not allowed"),
        ({"my_net.py": NET.replace('("head",)', '"head"')}, {}, "parts 'head' is not allowed: it has to be a tuple of"),
        ({"my_net.py": "class MyNet: pass"}, {}, "my_net.py: MyNet has no __init__ of its own"),
    ],
)  # fmt: skip
def test_code_that_cannot_be_used_is_refused_in_a_sentence(own_study, files, changes, told):
    with pytest.raises(AmcError) as refusal:
        load_study(own_study(files, **changes))
    assert told in str(refusal.value) and "\n" not in str(refusal.value)


def test_the_schema_of_studies_takes_code_and_classes():
    models = ["cnn1d", "my_net.MyNet", {"my_net.MyNet": {"width": [32, 64]}}, {"my_net.MyNet": {}, "recipe": {}}]
    valid = Draft202012Validator(study_schema()).is_valid
    assert valid({"code": ["my_net.py"], "models": models}) and valid({"code": "my_net.py", "models": models[1]})
    assert not valid({"code": "my_net.py", "models": "my_net"}) and not valid({"code": "my_net", "models": models})


def test_an_own_model_is_a_text_that_travels_with_its_sources():
    model = OwnModel("my_net.MyNet", {"my_net.py": NET, "helper.py": HELPER})
    sent = pickle.loads(pickle.dumps(model))
    assert sent == "my_net.MyNet" and sent.sources == model.sources and sent.digest == model.digest
    assert sent.spec.any_length and sent.spec.parts == ("head",) and sent.spec.min_length == 8


NEAREST = """
import torch
from torch import nn
from amc_core.cumulants import magnitudes

class Nearest(nn.Module):
    any_length = True

    def __init__(self, classes, length, power: float = 1):
        super().__init__()
        self.power = power
        self.register_buffer("means", torch.zeros(classes, 11))

    def fit(self, features, labels, seed):
        for k in range(len(self.means)):
            self.means[k] = torch.as_tensor(features[labels == k].mean(0))

    def forward(self, x):
        return -torch.cdist(magnitudes(x), self.means) ** self.power
"""


def test_a_class_with_fit_is_fitted_in_one_step_and_evaluated_as_any_other(own_study, store):
    path = own_study(
        {"my_fit.py": NEAREST}, code="my_fit.py", models="{my_fit.Nearest: {power: [1, 2]}}", snr_db="[18]"
    )
    study = load_study(path)
    for run in study.runs():
        assert run.recipe.epochs == 1
        for _ in compute(run, [*study.tests(run)], store):
            pass
    cells = load("cells", store.path, path)
    assert (cells[cells["test_channel"] == "awgn"]["accuracy"] > 0.6).all() and cells["code"].nunique() == 1
    with pytest.raises(AmcError, match="cannot start from another run"):
        load_study(own_study({"my_fit.py": NEAREST}, code="my_fit.py", models="my_fit.Nearest",
                             transfer="{models: my_fit.Nearest}"))  # fmt: skip


def test_classifiers_of_scikit_learn_stand_beside_the_svm_in_one_study(own_study, store):
    trees = "{hoc: {classifier: sklearn.tree.DecisionTreeClassifier, max_depth: [2, 5]}}"
    near = "{hoc: {classifier: sklearn.neighbors.KNeighborsClassifier}}"
    path = own_study(code=None, models=f"[hoc_svm, {trees}, {near}]", snr_db="[18]")
    study = load_study(path)
    Draft202012Validator(study_schema()).validate({"models": [{"hoc": {"classifier": "sklearn.svm.SVC", "C": 2}}]})
    for run in study.runs():
        for _ in compute(run, [*study.tests(run)], store):
            pass
    cells = load("cells", store.path, path)
    assert cells["hyperparameters"].nunique() == 4
    assert (cells[cells["test_channel"] == "awgn"]["accuracy"] > 0.6).all()
    with pytest.raises(AmcError, match="no argument 'n_estimators' that a study can set"):
        load_study(own_study(code=None, models="{hoc: {classifier: sklearn.svm.SVC, n_estimators: 3}}"))


def test_an_argument_of_scikit_learns_can_be_searched(own_study):
    models = "{hoc: {classifier: sklearn.neighbors.KNeighborsClassifier, n_neighbors: {int: [1, 9]}}}"
    study = load_study(own_study(code=None, models=models, search="{proposals: 2}", test="{channel: rician}"))
    [run] = study.proposal({"models.hoc.n_neighbors": 3}).runs()
    assert run.hyperparameters == {"classifier": "sklearn.neighbors.KNeighborsClassifier", "n_neighbors": 3}
