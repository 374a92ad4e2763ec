"""Tests of recordings that hold what they hold: other modulations, SNRs, numbers and lengths than the study."""

import json

import numpy as np
import pytest
import torch
from matplotlib.text import Text

from amc_core import AmcError
from amc_core.instances import Instances
from amc_core.reading import Reading, ReadPath
from amc_core.recordings import open_recording, write_radioml2018, write_sigmf
from analysis import Results, load, train_test
from analysis.figures import train_test_heat_map
from analysis.figures.study import study_figures
from analysis.report.data import study_data
from sweeps.engine.trial import compute
from sweeps.planning import make_plan, require_recordings
from sweeps.store import Store
from sweeps.study import load_study
from sweeps.study.study import Study

# Instances of 300 samples, of which two of 128 each are tested: (modulation, SNR) → how many are recorded.
RECORDED = {("BPSK", 0): 3, ("BPSK", 10): 5, ("QPSK", 10): 1, ("QPSK", 20): 4, ("32QAM", 0): 2, ("32QAM", 30): 2}
TESTED = {0: {"BPSK": 6}, 10: {"BPSK": 10, "QPSK": 2}, 20: {"QPSK": 8}}


def noise(count: int, length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 2, length))


@pytest.fixture
def study(study_file):
    def write(**changes):
        fixed = {"modulations": "[BPSK, QPSK, 8PSK]", "snr_db": "[0, 10, 18]", "models": "[hoc_svm]", "recipe": None}
        return study_file(**fixed | {"length": 128, "instances": 20} | changes)

    return write


@pytest.fixture
def other(tmp_path):
    names = ["32QAM", "QPSK", "BPSK"]
    batches = ((noise(n, 300, seed), names.index(name), snr) for seed, ((name, snr), n) in enumerate(RECORDED.items()))
    write_radioml2018(tmp_path / "other.h5", batches, names)
    return "{recording: other.h5}"


def computed(path: str, store: Store) -> Study:
    described = load_study(path)
    plan = make_plan(described, store)
    require_recordings(plan)
    for entry in plan.incomplete:
        list(compute(entry.run, entry.missing, store))
    assert not make_plan(described, store).incomplete
    return described


def test_all_of_another_recording_is_tested_and_what_it_lacks_is_nowhere(study, other, tmp_path):
    path, store = study(train="{channel: awgn}", test=f"[{{channel: awgn}}, {other}]"), Store(tmp_path / "store")
    assert sum(entry.evaluation_work for entry in make_plan(load_study(path), store).runs) == 2 * 3 * 3 + 26
    described = computed(path, store)
    results = Results(described, store)
    cells = results.cells[results.cells["test_recording"] != ""]
    assert dict(zip(cells["snr_db"], cells["n"], strict=True)) == {snr: sum(n.values()) for snr, n in TESTED.items()}
    assert cells["test_instances"].fillna(0).tolist() == [6, 0, 8]  # not as many of both at 10 dB
    assert cells["test_modulation_set"].nunique() == 3
    by_sql = results.query("SELECT snr_db, sent, recognised, sum(count) AS count FROM confusion WHERE "
                           "test_recording <> '' GROUP BY ALL")  # fmt: skip
    by_table = load("confusion", store.path, path)
    for table in (by_sql, by_table[by_table["test_recording"] != ""]):
        assert set(table["recognised"]) == {"BPSK", "QPSK", "8PSK"}  # the classes of the study
        counts = table.groupby(["snr_db", "sent"], observed=True)["count"].sum()
        assert counts.to_dict() == {(snr, name): n for snr, sent in TESTED.items() for name, n in sent.items()}
    [(_, _, snrs, matrices)] = results.matrices()
    assert sorted(zip(snrs, matrices.sum((1, 2)), strict=True))[-1] == (20, 8)  # 20 dB is of the recording alone
    table = train_test(results.cells)
    assert table.index.names == ["model"] and table.columns.name == "test_recording" and not table.isna().any(axis=None)


def test_figures_and_report_leave_out_what_a_recording_lacks(study, other, tmp_path):
    path, store = study(train="{channel: awgn}", test=other), Store(tmp_path / "store")
    described = computed(path, store)
    results = Results(described, store)
    figures = dict(study_figures(results))
    assert figures["snr"].axes[0].lines[0].get_xdata().tolist() == [0, 10, 20]
    [matrices] = [figure for kind, figure in figures.items() if kind.startswith("confusion")]
    images = [axis.images[0].get_array().astype(float) for axis in matrices.axes if axis.images]  # of 0, 10 and 20 dB
    sent = [(~np.isnan(np.ma.filled(image, np.nan)).all(axis=1)).tolist() for image in images]
    assert sent == [[True, False, False], [True, True, False], [False, True, False]]  # of BPSK, QPSK, 8PSK
    told = train_test_heat_map(results.cells).findobj(Text)
    assert "mean over SNR 0 … 20 dB" in " ".join(" ".join(text.get_text() for text in told).split())
    data = study_data(path, results, 1 << 20)
    assert data["snrs"] == [0, 10, 20]


def test_a_test_may_name_snrs_a_most_of_instances_and_modulations_that_no_run_was_trained_on(study, other, tmp_path):
    own = other.replace("}", ", snr_db: [0, 30, 40], instances: 3, modulations: [BPSK, 32QAM, 64QAM]}")
    path, store = study(train="{channel: awgn}", test=own), Store(tmp_path / "store")
    computed(path, store)
    counts = load("confusion", store.path, path).groupby(["snr_db", "sent"], observed=True)["count"].sum()
    assert counts.to_dict() == {(0, "BPSK"): 3, (0, "32QAM"): 3, (30, "32QAM"): 3}


def test_at_a_scale_no_more_of_a_recording_is_tested_than_is_simulated(study, other):
    path = study(train="{channel: awgn}", test=other, instances=40, scales="{few: {instances: 10}}")
    for scale, most, n in ((None, None, 26), ("few", 10, 24)):
        [run] = (described := load_study(path, scale)).runs()
        [test] = described.tests(run)
        assert (test.test_instances == most and test.size("test") == min(n, 6 + min(10, most or 10) + 2 + 8)) or scale


def test_what_is_tested_of_a_recording_does_not_depend_on_the_numbers_of_the_study(study, other):
    keys = set()
    for changes in ({}, {"instances": 30}, {"snr_db": "[4]"}, {"dataset_seed": 1}):
        [run] = (described := load_study(study(train="{channel: awgn}", test=other, **changes))).runs()
        keys |= {test.key for test in described.tests(run)}
    assert len(keys) == 1


def test_a_recording_without_any_modulation_or_snr_of_the_test_is_refused(study, other, tmp_path):
    for changes, told in (
        ({"modulations": "[8PSK, 16QAM]"}, r"none of the modulations 8PSK, 16QAM is recorded \(recorded: 32QAM"),
        ({"test": other.replace("}", ", snr_db: 7}")}, r"none of the SNRs 7 dB is recorded \(recorded: 0, 10, 20\)"),
        ({"length": 512}, r"length is 512; allowed are 1 to 300 samples"),
    ):
        path = study(**{"train": "{channel: awgn}", "test": other} | changes)
        with pytest.raises(AmcError, match=told):
            require_recordings(make_plan(load_study(path), Store(tmp_path / "store")))


@pytest.mark.parametrize("length", [128, 64])
def test_the_part_for_tests_of_a_recording_that_trained_is_tested_at_shorter_lengths(study, tmp_path, length):
    write_sigmf(tmp_path / "rec", noise(60, 128), 1e6, np.repeat(["BPSK", "QPSK", "8PSK"], 20), 10)
    path = study(
        train="{recording: rec.sigmf-meta}",
        test="{recording: rec.sigmf-meta}",
        snr_db="[10]",
        test_length=f"[{length}]",
    )
    store = Store(tmp_path / "store")
    computed(path, store)
    cells = load("cells", store.path, path)
    assert cells["n"].tolist() == [3 * 2 * 128 // length] and cells["test_length"].tolist() == [length]


def test_a_longer_test_of_a_continuous_recording_that_trained_is_refused(study, tmp_path):
    write_sigmf(tmp_path / "rec", noise(60, 128), 1e6, np.repeat(["BPSK", "QPSK", "8PSK"], 20), 10)
    path = study(
        train="{recording: rec.sigmf-meta}",
        test="{recording: rec.sigmf-meta}",
        snr_db="[10]",
        instances=10,
        test_length="[256]",
    )
    with pytest.raises(AmcError, match="test on samples that did not train"):
        require_recordings(make_plan(load_study(path), Store(tmp_path / "store")))


def test_an_snr_that_nobody_knows_is_one_level(study, tmp_path):
    meta = write_sigmf(tmp_path / "rec", noise(60, 128), 1e6, np.repeat(["BPSK", "QPSK", "8PSK"], 20), 10)
    content = json.loads(meta.read_text())
    for annotation in content["annotations"]:
        del annotation["amc:snr_db"]
    meta.write_text(json.dumps(content))
    for train, n in (("{channel: awgn}", 60), ("{recording: rec.sigmf-meta}", 6)):
        path, store = study(train=train, test="{recording: rec.sigmf-meta}"), Store(tmp_path / f"store {n}")
        described = computed(path, store)
        cells = load("cells", store.path, path)
        assert cells["snr_db"].isna().tolist() == [True] and cells["n"].tolist() == [n]
        assert load("cells", store.path, path, filters={"snr_db": None})["n"].tolist() == [n]
        results = Results(described, store)
        heat_map, matrices = dict(study_figures(results)).values()
        assert "unknown SNR" in " ".join(" ".join(text.get_text() for text in heat_map.findobj(Text)).split())
        assert matrices.axes[0].get_title().endswith("unknown SNR")
        data = study_data(path, results, 1 << 20)
        assert data["snrs"] == [None] and json.dumps(data, allow_nan=False)


def test_a_recording_without_snr_is_no_part_of_a_mixture_of_several_snrs(study, tmp_path):
    np.savez(tmp_path / "lab.npz", X=noise(60, 128), Y=["BPSK", "QPSK", "8PSK"] * 20)
    mixture = "{mixture: [{recording: {file: lab.npz, iq: X, label: Y}}, {channel: awgn}]}"
    for levels, refused in (("[0, 10]", True), ("[10]", False)):
        plan = make_plan(
            load_study(study(train=mixture, test="{channel: rician}", snr_db=levels)), Store(tmp_path / "s")
        )
        if refused:
            with pytest.raises(
                AmcError, match=r"lab.npz: no SNR is recorded, and the other parts of the mixture have 2"
            ):
                require_recordings(plan)
        else:
            require_recordings(plan)


def test_instances_are_scaled_as_the_study_says_and_the_usual_scale_changes_no_key(study, tmp_path):
    x = 0.01 * noise(6, 128)
    np.savez(tmp_path / "lab.npz", X=x, Y=["BPSK", "QPSK"] * 3)
    told, datasets = "{file: lab.npz, iq: X, label: Y}", {}
    for scale in (None, "power", "energy", "max", "none"):
        own = "" if scale is None else f", normalisation: {scale}"
        described = load_study(study(train="{channel: awgn}", test=f"{{recording: {told}{own}}}"))
        [datasets[scale]] = described.tests(described.runs()[0])
    assert len({test.key for test in datasets.values()}) == 4 and datasets[None].key == datasets["power"].key
    order = [0, 2, 4, 1, 3, 5]  # by modulation
    magnitude = np.hypot(x[:, 0], x[:, 1])
    scales = {
        "power": np.sqrt((magnitude**2).mean(1)),
        "energy": (magnitude**2).sum(1),
        "max": magnitude.max(1),
        "none": np.ones(6),
    }
    for scale, divisor in scales.items():
        [(read, _, _)] = Instances(datasets[scale], "test").batches(torch.arange(6), 6)
        np.testing.assert_allclose(read, (x / divisor[:, None, None])[order], rtol=1e-5)
    trained = study(train="{channel: awgn, normalisation: none}", test=f"{{recording: {told}}}")
    [run] = (described := load_study(trained)).runs()
    assert [test.key for test in described.tests(run)] == [datasets["none"].key]  # as in training, where left out


def test_a_file_of_named_fields_is_part_of_a_study_wherever_it_trains_or_tests(study, tmp_path):
    np.savez(tmp_path / "lab.npz", X=noise(60, 128), Y=np.arange(60) % 3, Z=np.full(60, 10))
    told = "{file: lab.npz, iq: X, label: Y, snr_db: Z, classes: [BPSK, QPSK, 8PSK]}"
    other = told.replace("[BPSK, QPSK, 8PSK]", "[QPSK, 8PSK, MY8]")
    path, store = (
        study(train=f"{{recording: {told}}}", snr_db="[10]", test=f"{{recording: {told}}}"),
        Store(tmp_path / "s"),
    )
    computed(path, store)
    cells = load("cells", store.path, path)
    assert cells["n"].tolist() == [6] and cells["setting"].tolist() == ["trained"]
    again = study(train="{channel: awgn}", snr_db="[10]", test=f"[{{recording: {told}}}, {{recording: {other}}}]")
    computed(again, store)
    cells = load("cells", store.path, again)
    assert cells["n"].tolist() == [60, 40] or cells["n"].tolist() == [40, 60]
    assert cells["test_recording"].nunique() == 2 and cells["test_recording"].str.startswith("lab.npz ").all()
    leaking = study(train=f"{{recording: {told}}}", snr_db="[10]", test=f"{{recording: {other}}}")
    with pytest.raises(AmcError, match="have samples that are in the train or validation part"):
        require_recordings(make_plan(load_study(leaking), store))


def test_freely_spelled_labels_of_sigmf_have_the_meaning_that_the_study_says(study, tmp_path):
    meta = write_sigmf(tmp_path / "rec", noise(60, 128), 1e6, np.repeat(["BPSK", "QPSK", "8PSK"], 20), 10)
    content = json.loads(meta.read_text())
    for annotation, label in zip(content["annotations"], ("Two phases", "four phases", None), strict=True):
        del annotation["amc:snr_db"], annotation["signal:detail"]
        annotation["core:label"] = label
    content["captures"] = [{"core:sample_start": 0}, {"core:sample_start": 1000}]
    meta.write_text(json.dumps(content))
    told = "{file: rec.sigmf-meta, snr_db: 7, classes: {Two phases: BPSK, four phases: QPSK}}"
    path, store = study(train="{channel: awgn}", test=f"{{recording: {told}}}"), Store(tmp_path / "store")
    computed(path, store)
    counts = load("confusion", store.path, path).groupby(["snr_db", "sent"], observed=True)["count"].sum()
    assert counts.to_dict() == {(7, "BPSK"): 20, (7, "QPSK"): 20}
    described = open_recording(ReadPath(str(meta), Reading(classes={"Two phases": "BPSK"})))
    assert described.notes == ("ignored 1 of 3 annotations, for lack of a modulation",)


def test_an_instance_of_a_whole_recording_is_found_by_modulation_and_snr(study, other):
    [run] = (described := load_study(study(train="{channel: awgn}", test=other))).runs()
    part = Instances(described.tests(run)[0], "test")
    rows = torch.cat([x for x, _, _ in part.batches(torch.arange(len(part)), 8)])  # BPSK 0, 10, 20 dB, then QPSK
    assert torch.equal(part.of(["BPSK", "QPSK"], 10, 1), rows[[6 + 1, 16 + 1]])
    for names, snr_db, place, told in (
        (["8PSK"], 10, 0, "8PSK is not in the test part: it has BPSK, QPSK at 0, 10, 20 dB"),
        (["BPSK"], 18, 0, "SNR 18 dB is not in the test part"),
        (["BPSK", "QPSK"], 10, 2, "instance 2 is not in the test part: it has instances 0 to 1"),
    ):
        with pytest.raises(AmcError, match=told):
            part.of(names, snr_db, place)


def test_a_modulation_of_ones_own_in_small_letters_is_tested_as_the_file_spells_it(study, store, tmp_path):
    np.savez(tmp_path / "lab.npz", X=noise(7, 128), Y=np.array(["my8"] * 4 + ["bpsk"] * 3))
    recorded = f"{{recording: {{file: {tmp_path}/lab.npz, iq: X, label: Y}}}}"
    own = "[BPSK, {my8: {points: [[1, 0], [0, 1], [-1, 0]]}}]"
    path = study(modulations=own, snr_db="[10]", train="{channel: awgn}", test=recorded)
    plan = make_plan(load_study(path), store)
    [entry] = plan.incomplete
    list(compute(entry.run, entry.missing, store))
    counts = load("confusion", store.path, path).groupby("sent")["count"].sum()
    assert counts[counts > 0].to_dict() == {"BPSK": 3, "my8": 4}
