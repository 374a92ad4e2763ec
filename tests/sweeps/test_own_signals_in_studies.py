"""Modulations of one's own in studies: planned, run, tested, tabled and drawn."""

import json

import pytest
from jsonschema import Draft202012Validator

from amc_core.errors import AmcError
from amc_core.own_signals import OwnModulation
from analysis import load
from sweeps.engine.trial import compute
from sweeps.store import Store
from sweeps.study import load_study
from sweeps.study.schema import study_schema
from sweeps.study.yaml12 import parse_yaml

OWN = "{MY4: {points: [[1, 0], [0.7, 0.7], [-1, 0], [0, -2]]}}, {4FSK: {cpm: {levels: 4, index: 1}}}"


@pytest.fixture
def own_study(study_file):
    def write(**changes: str) -> str:
        usual = {"modulations": f"[BPSK, {OWN}]", "models": "hoc_svm", "train": "{}", "test": "{upsampling: [4, 8]}"}
        return study_file(**usual | changes)

    return write


def computed(path: str, store: Store) -> list[str]:
    study = load_study(path)
    for run in study.runs():
        for _ in compute(run, [*study.tests(run)], store):
            pass
    return [run.key for run in study.runs()]


def test_the_name_is_in_every_table_and_the_content_in_the_key(own_study, store):
    path = own_study(test="[{upsampling: 4}, {modulations: [MY4, QPSK], upsampling: 8}]")
    keys = computed(path, store)
    runs = load("runs", store.path, path)
    assert runs["modulations"].tolist() == [["BPSK", "MY4", "4FSK"]]
    assert runs["modulation_set"].str.fullmatch(r"BPSK, MY4 [0-9a-f]{6}, 4FSK [0-9a-f]{6}").all()
    confusion = load("confusion", store.path, path)
    assert {*confusion["recognised"]} == {"BPSK", "MY4", "4FSK"} and {*confusion["sent"]} >= {"MY4", "QPSK"}
    cells = load("cells", store.path, path)
    assert cells[cells["test_upsampling"] == 8]["n"].tolist() == [2, 2]  # MY4 alone was trained
    changed = computed(own_study(modulations=f"[BPSK, {OWN.replace('0.7, 0.7', '0.7, 0.6')}]"), store)
    assert keys != changed and len(load("runs", store.path)) == 2
    assert load("runs", store.path)["modulation_set"].nunique() == 2


def test_a_plan_and_a_query_know_them_from_the_store(own_study, store, amc):
    path = own_study()
    computed(path, store)
    shown = amc("plan", path, "--store", str(store.path))
    assert shown.returncode == 0 and "othing is missing" in shown.stdout, shown
    query = "SELECT DISTINCT sent FROM confusion ORDER BY sent"
    shown = amc("query", query, "--store", str(store.path))
    assert shown.returncode == 0 and shown.stdout.split()[2:] == ["4FSK", "BPSK", "MY4"], shown


def test_a_test_names_what_the_study_has_and_may_have_more(own_study):
    more = "{modulations: [MY4, {MY2: {points: [[1, 0], [0, 1]]}}]}"
    study = load_study(own_study(test=more))
    [test] = study.tests(study.runs()[0])
    assert test.modulations == ("MY4", "MY2") and all(isinstance(name, OwnModulation) for name in test.modulations)
    with pytest.raises(AmcError, match=r"test.*modulation 'MY2' is not known.*MY4"):
        load_study(own_study(test="{modulations: [MY2]}"))
    with pytest.raises(AmcError, match="'my4' and 'MY4' differ only in case, which labels of files do not"):
        load_study(own_study(test="{modulations: [{my4: {points: [[1, 0], [0, 1]]}}]}"))
    with pytest.raises(AmcError, match="two modulations are called 'MY4'"):
        load_study(own_study(test="{modulations: [{MY4: {points: [[1, 0], [0, 1]]}}]}"))


def test_they_are_data_in_python_too(own_study):
    content = parse_yaml(open(own_study()).read())
    content["modulations"][1]["MY4"]["points"] = tuple(map(tuple, content["modulations"][1]["MY4"]["points"]))
    [run], [same] = load_study(content).runs(), load_study(own_study()).runs()
    assert run.key == same.key


def test_the_schema_takes_what_a_study_takes(own_study):
    check = Draft202012Validator(study_schema())
    check.validate(parse_yaml(open(own_study(test="{modulations: [MY4, BPSK]}")).read()))
    for wrong in ("{MY: {}}", "{MY: {points: [[1]]}}", "{MY: {cpm: {levels: 4, idx: 1}}}", "MY"):
        assert not check.is_valid(parse_yaml(f"{{models: hoc_svm, modulations: [BPSK, {wrong}]}}")), wrong


@pytest.mark.parametrize(
    ("modulations", "told"),
    [
        ("[BPSK, {QPSK: {points: [[1, 0], [0, 1]]}}]", "'QPSK' is the name of another modulation"),
        ("[BPSK, {MY: {points: [[1, 0]]}}, {X: {cpm: {levels: 5}}}]", "points is a list of 1"),
        ("[BPSK, {MY: {points: [[1, 0], [0, 1]]}}, {MY: {points: [[1, 0], [0, 2]]}}]", "each once"),
        (
            "[BPSK, {MY: {points: [[1, 0], [0, 1]]}}, {my: {points: [[1, 0], [0, 2]]}}]",
            "differ only in case",
        ),
    ],
)
def test_nonsense_is_refused_before_any_work(own_study, amc, modulations, told, tmp_path):
    refused = amc("run", own_study(modulations=modulations), "--store", str(tmp_path / "none"))
    assert refused.returncode == 2 and told in refused.stderr and "modulations" in refused.stderr, refused.stderr
    assert not (tmp_path / "none").exists()


def test_the_likelihood_classifier_takes_points_and_refuses_cpm(own_study, store):
    path = own_study(models="likelihood", modulations="[BPSK, {MYQ: {points: [[1, 1], [-1, 1], [-1, -1], [1, -1]]}}]")
    computed(path, store)
    cells = load("cells", store.path, path)
    assert (cells[cells["snr_db"] == 18]["accuracy"] == 1).all()
    with pytest.raises(AmcError, match="likelihood classifies linear modulations only, not 4FSK"):
        load_study(own_study(models="likelihood"))


def test_simulate_draws_them(amc, tmp_path):
    listed = f"[BPSK, {OWN}]"
    shown = amc("simulate", "awgn", "--modulations", listed, "--to", str(tmp_path))
    assert shown.returncode == 0, shown.stderr
    drawing = (tmp_path / "signals-awgn.svg").read_text()
    assert "MY4" in drawing or drawing.count("<g id=") > 20  # texts may be drawn as shapes
    refused = amc("simulate", "awgn", "--modulations", "[BPSK, {MY: {points: 3}}]", "--to", str(tmp_path / "none"))
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1, refused.stderr


def test_a_record_says_what_they_were(own_study, store):
    [name] = computed(own_study(), store)
    record = store.records()[name]
    assert [getattr(each, "content", None) for each in record.dataset.modulations] == [
        None,
        {"points": [[1.0, 0.0], [0.7, 0.7], [-1.0, 0.0], [0.0, -2.0]]},
        {"cpm": {"levels": 4, "index": 1.0}},
    ]
    assert json.loads(record.content())["dataset"]["modulations"][0] == "BPSK"
