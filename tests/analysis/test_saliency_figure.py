"""The command `amc saliency`, what it reads from a store and what it draws."""

import numpy as np
import pytest
import torch

from amc_core.saliency import saliency
from amc_core.simulator import simulate
from amc_core.training import new_model
from analysis.figures.saliency import read, saliency_figure, select
from sweeps.engine.trial import compute
from sweeps.store import Store
from sweeps.study import load_study

STUDY = """
modulations: [BPSK, QPSK, 16QAM]
snr_db: [0, 18]
instances: 20
length: 128
models: [hoc_svm, mod_lcnn]
recipe: {epochs: 1, batch_size: 16}
seeds: [0, 1]
train: {channel: [awgn, rayleigh]}
test: {channel: [awgn, rician], upsampling: [4, 8]}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A study whose networks are trained and not evaluated, and its store."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "small.yaml").write_text(STUDY)
    path, store = str(folder / "small.yaml"), Store(folder / "store")
    for run in load_study(path).runs():
        if run.model == "mod_lcnn":
            list(compute(run, [], store))
    return path, store


def test_a_reading_holds_the_test_instance_and_what_its_run_made_of_it(trained):
    path, store = trained
    study = load_study(path)
    selection = select(study, store, ["QPSK"])
    readings = read(study, store, selection, ["QPSK"], 18.0, instance=1, layer=0)
    assert len(readings) == 2 * 4  # one seed, two training settings, four test settings
    for reading in readings:
        instance = reading.test.indices("test")[1]
        samples = simulate(reading.test.scenario, "QPSK", 18.0, [instance], 128, reading.test.seed)[0]
        np.testing.assert_allclose(reading.samples, samples.numpy(), atol=1e-6)
        model = new_model(reading.run)
        model.load_state_dict(store.run(reading.run.key).weights())
        x = torch.stack([samples.real, samples.imag])[None]
        label = model.eval()(x).argmax(1)
        assert reading.recognised == reading.test.modulations[label]
        np.testing.assert_allclose(reading.importance, saliency(model, x, label, layer=0)[0].numpy(), atol=1e-3)


def test_of_more_than_fits_an_even_choice_with_the_training_settings_is_drawn(study_file, tmp_path):
    test = "{channel: awgn, upsampling: [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]}"
    path, store = study_file(models="mod_lcnn", train="{}", test=test), Store(tmp_path / "store")
    study = load_study(path)
    list(compute(study.runs()[0], [], store))
    selection = select(study, store, ["BPSK", "16QAM"])
    assert [test.scenario.upsampling for test in selection.tests] == [2, 4, 6, 8, 10, 12]
    assert selection.left_out == "6 of 11 test settings"


def test_lines_join_important_neighbours_and_the_ground_tells_right_from_wrong(trained):
    path, store = trained
    study = load_study(path)
    readings = read(study, store, select(study, store, ["BPSK", "QPSK"]), ["BPSK", "QPSK"], 0.0)
    figure = saliency_figure(readings, "title")
    panels = [axis for axis in figure.axes if axis.collections and axis.get_title()]
    assert len(panels) == len(readings) == 2 * 2 * 4
    lines = sum(len(axis.collections[0].get_segments()) for axis in panels)
    important = [reading.importance > 0.8 for reading in readings]
    assert lines == sum((above[:-1] & above[1:]).sum() for above in important)
    right = sum(reading.recognised == reading.modulation for reading in readings)
    assert sum(axis.get_title().endswith("recognised") for axis in panels) == right
    grounds = [axis.get_facecolor() for axis in panels]
    assert len(set(grounds)) == len({reading.recognised == reading.modulation for reading in readings})
    framed = [axis for axis in panels if axis.spines["left"].get_linewidth() > 2]
    assert len(framed) == sum(reading.test == reading.run.dataset for reading in readings) == 2


def test_the_command_draws_png_and_svg(amc, trained, tmp_path):
    path, store = trained
    shown = amc("saliency", path, "--store", str(store.path), "--modulations", "BPSK, 16QAM", "--to", str(tmp_path))
    assert shown.returncode == 0 and "small-saliency.png" in shown.stdout
    assert (tmp_path / "small-saliency.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "small-saliency.svg").read_text()
    assert "Example: amc saliency quickstart" in amc("saliency", "--help").stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--modulations", "GFSK"], ["'GFSK'", "known: BPSK, QPSK, 16QAM"]),
        (["--modulations", "BPSK,BPSK"], ["BPSK, BPSK", "different"]),
        (["--modulations", ","], ["''", "known: BPSK"]),
        (["--model", "cnn1d"], ["'cnn1d'", "known: hoc_svm, mod_lcnn"]),
        (["--model", "hoc_svm"], ["hoc_svm", "allowed are cnn1d"]),
        (["--snr", "5"], ["5 dB", "0, 18 dB"]),
        (["--snr", "nan"], ["--snr 'nan' is not allowed", "a number of dB, from -200"]),
        (["--instance", "2"], ["instance 2", "0 to 1"]),
        (["--layer", "4"], ["layer 4", "0 to 3"]),
        (["--to", "/proc/nowhere"], ["cannot be written"]),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_sentence(amc, trained, options, said):
    path, store = trained
    refused = amc("saliency", path, "--store", str(store.path), *options)
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1
    assert all(words in refused.stderr for words in said)


def test_a_study_of_which_nothing_suitable_is_trained_says_so(amc, study_file, tmp_path):
    store = str(tmp_path / "store")
    refused = amc("saliency", study_file(), "--store", store)
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1 and "amc run" in refused.stderr
    refused = amc("saliency", study_file(models="[hoc_svm, lstm]"), "--store", store)
    assert refused.returncode == 2 and "hoc_svm or lstm" in refused.stderr and "allowed are cnn1d" in refused.stderr
    assert not (tmp_path / "store").exists()


def test_transfers_mixtures_and_lengths_are_told_apart(amc, study_file, tmp_path):
    changes = {
        "models": "[mod_lcnn]",
        "train": "[{}, {mixture: [{sample_rate: 200e3}, {channel: rician, sample_rate: 1e6}]}]",
        "test": "{}",
        "test_length": "[128, 256]",
        "recipe": "{epochs: 1, batch_size: 16}",
        "transfer": "[{train: {channel: rayleigh}, recipe: {retrain: head}}]",
    }
    path, store = study_file(**changes), Store(tmp_path / "store")
    study = load_study(path)
    for run in study.runs():
        list(compute(run, [], store))
    selection = select(study, store, ["BPSK"])
    assert len(selection.runs) == len(study.runs()) == 2 + 2
    figure = saliency_figure(read(study, store, selection, ["BPSK"], 18.0), "title")
    labels = [axis.get_ylabel().replace("\n", " ") for axis in figure.axes if "BPSK" in axis.get_ylabel()]
    assert len(set(labels)) == len(labels) == 4
    assert sum("awgn + rician" in label and "200 + 1000 kHz" in label for label in labels) == 2
    assert sum("after: " in label and "retrain head" in label for label in labels) == 2
    assert any("N\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}256" in axis.get_title() for axis in figure.axes)
