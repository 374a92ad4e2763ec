"""Front ends of one's own in studies: axes, mixtures, keys, and that reading commands import nothing."""

import pickle

import pytest
from jsonschema import Draft202012Validator

from amc_core.errors import AmcError
from analysis import load
from sweeps.engine.trial import compute
from sweeps.own_code import changes_of_code, require_working_code
from sweeps.planning import make_plan
from sweeps.study import load_study
from sweeps.study.schema import study_schema
from sweeps.study.yaml12 import parse_yaml

CLIP = "return torch.complex(iq.real.clamp(-level, level), iq.imag.clamp(-level, level))"
RX = "import torch\nfrom levels import USUAL\n\ndef clip(iq, uniform, level: float = 1.0):\n    {}\n"


@pytest.fixture
def own_study(study_file, tmp_path):
    def write(body: str = CLIP, **changes: str) -> str:
        (tmp_path / "my_rx.py").write_text(RX.format(body) + "open('marker', 'w').close()\n")
        (tmp_path / "levels.py").write_text("USUAL = 1\n")
        usual = {"code": "[my_rx.py, levels.py]", "models": "hoc_svm", "train": "{}", "modulations": "[BPSK, 16QAM]"}
        usual["test"] = "[{front_end: {my_rx.clip: {level: [0.5, 1]}}, upsampling: [4, 8]}]"
        return study_file(**usual | changes)

    return write


def front_ends(path: str) -> list[str]:
    study = load_study(path)
    return [str(test.scenario.front_end) for test in study.tests(study.runs()[0])]


def test_lists_are_axes_alone_zipped_and_beside_none(own_study):
    assert front_ends(own_study()) == [f"my_rx.clip level {level}" for level in ("0.5", "0.5", "1", "1")]
    both = "[{front_end: ['', my_rx.clip, {my_rx.clip: {level: {uniform: [1, 2]}}}]}]"
    assert front_ends(own_study(test=both)) == ["", "my_rx.clip level 1", "my_rx.clip level uniform(1, 2)"]
    zipped = "{zip: {front_end: [my_rx.clip, ''], upsampling: [4, 8]}}"
    assert front_ends(own_study(test=zipped)) == ["my_rx.clip level 1", ""]


def test_it_may_be_trained_with_in_a_mixture_and_varied_over(own_study):
    mixture = "{mixture: [{channel: awgn}, {front_end: {my_rx.clip: {level: 0.5}}}]}"
    assert front_ends(own_study(train=mixture, test="{vary: front_end}")) == ["my_rx.clip level 0.5"]
    with pytest.raises(AmcError, match="not allowed in a mixture: give one value"):
        load_study(own_study(train="{mixture: [{}, {front_end: {my_rx.clip: {level: [1, 2]}}}]}"))


def test_a_level_can_be_searched(own_study):
    search = {"train": "{front_end: {my_rx.clip: {level: {float: [0.5, 1]}}}}", "search": "{proposals: 2}"}
    study = load_study(own_study(test="{channel: rician}", **search))
    [run] = study.proposal({"train.front_end.my_rx.clip.level": 0.75}).runs()
    assert str(run.dataset.scenario.front_end) == "my_rx.clip level 0.75"


def test_code_is_in_keys_of_cells_and_a_worker_needs_no_file(own_study, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = own_study()
    study = load_study(path)
    [run] = study.runs()
    sent, tests = pickle.loads(pickle.dumps((run, study.tests(run))))
    assert make_plan(study, store).missing_cells == 4 and not (tmp_path / "marker").exists()
    for name in ("my_rx.py", "levels.py"):
        (tmp_path / name).unlink()
    for _ in compute(sent, list(tests), store):
        pass
    assert (tmp_path / "marker").exists()
    (tmp_path / "marker").unlink()
    cells = load("cells", store.path, load_study(own_study()))
    assert cells["test_front_end"].str.match(r"my_rx.clip level (0.5|1) \([0-9a-f]{6}\)").all() and len(cells) == 8
    assert make_plan(load_study(path), store).missing_cells == 0
    assert len(store.run(run.key).names("code")) == 1
    changed = load_study(own_study(CLIP + "  # changed"))
    assert changed.runs()[0].key == run.key and make_plan(changed, store).missing_cells == 4
    assert len(load("cells", store.path)) == 8 and not (tmp_path / "marker").exists()


def test_a_plan_says_which_text_has_changed_since_it_trained_or_tested(own_study, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def changes(path: str) -> list[str]:
        return changes_of_code(make_plan(load_study(path), store), store)

    mixture = "{mixture: [{}, {front_end: my_rx.clip}]}"
    for train in ("{}", mixture):
        path = own_study(train=train)
        assert changes(path) == []
        study = load_study(path)
        [run] = study.runs()
        list(compute(run, study.tests(run), store))
        (tmp_path / "marker").unlink(missing_ok=True)
        digest = study.tests(run)[0].scenario.front_end.digest
        since = f"changed since {digest[:4]}…:"
        assert changes(path) == []
        news = {"{}": "4 cells are new", mixture: "1 run is new"}[train]
        changed = own_study(CLIP + "  # changed", train=train)
        assert changes(changed) == [f"my_rx.py {since} {news}; the old results stay in the store."]
        path = own_study(train=train)
        (tmp_path / "levels.py").write_text("USUAL = 2\n")
        assert changes(path) == [f"levels.py {since} {news}; the old results stay in the store."]
    assert changes(own_study(test="{front_end: {my_rx.clip: {level: 0.1}}}")) == []  # of the same text
    assert not (tmp_path / "marker").exists()


def test_a_study_without_front_ends_keeps_its_keys_whatever_its_code(own_study):
    def keys(path: str) -> list[str]:
        study = load_study(path)
        return [run.cell_key(test) for run in study.runs() for test in study.tests(run)]

    assert keys(own_study(test="{}", code=None)) == keys(own_study(test="{}"))


def test_the_dry_run_tries_what_is_missing_in_a_process_of_its_own(own_study, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = load_study(own_study())
    require_working_code(study, make_plan(study, store))
    study = load_study(own_study("return iq.real"))
    with pytest.raises(AmcError, match=r"front_end my_rx.clip level 0.5 gives torch.float32"):
        require_working_code(study, make_plan(study, store))
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    ("test", "told"),
    [
        ("{front_end: my_rx.clp}", "no function 'clp'; did you mean 'clip'"),
        ("{front_end: rx.clip}", "front_end 'rx.clip' is not known.*code names my_rx.py, levels.py"),
        ("{front_end: {my_rx.clip: {gain: 1}}}", "has no parameter 'gain'"),
        ("{front_end: {my_rx.clip: {level: loud}}}", "level 'loud' is not allowed"),
        ("{front_end: {my_rx.clip: 3}}", "it has to be 'file.function', or"),
        ("{front_end: 3}", "it has to be 'file.function', or"),
    ],
)
def test_nonsense_is_refused_with_the_place_where_it_stands(own_study, test, told):
    with pytest.raises(AmcError, match=told) as refused:
        load_study(own_study(test=test))
    assert "test" in str(refused.value) and "\n" not in str(refused.value)


def test_the_schema_takes_front_ends(own_study):
    check = Draft202012Validator(study_schema())
    check.validate(parse_yaml(open(own_study()).read()))
    assert not check.is_valid(parse_yaml("{models: hoc_svm, test: {front_end: {clip: {level: 1}}}}"))


def test_simulate_draws_it_with_its_code(amc, own_study, tmp_path, monkeypatch):
    own_study()
    monkeypatch.chdir(tmp_path)
    scenario = "{front_end: {my_rx.clip: {level: 0.5}}}"
    drawn = ["simulate", scenario, "--modulations", "QPSK", "--to", str(tmp_path / "to")]
    shown = amc(*drawn, "--code", "my_rx.py", "--code", "levels.py")
    assert shown.returncode == 0 and len([*(tmp_path / "to").iterdir()]) == 2, shown.stderr
    refused = amc(*drawn)
    assert refused.returncode == 2 and "the study has no code" in refused.stderr, refused.stderr
