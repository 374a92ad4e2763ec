"""What is done with a trained run: amc export, amc classify, load_run."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from amc_core import Scenario, simulate
from amc_core.errors import AmcError
from amc_core.recordings import open_recording, write_radioml2018, write_sigmf
from analysis import load_run
from sweeps.engine.trial import compute
from sweeps.store import Store
from sweeps.study import load_study
from tests.sweeps.test_own_networks import HELPER, NET

STUDY = """
modulations: [BPSK, 16QAM, GFSK]
snr_db: [18]
instances: 100
length: 128
models: [hoc_svm, mod_lcnn, likelihood]
recipe: {epochs: 4, batch_size: 16, learning_rate: 0.01}
train: {upsampling: 8}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A store with a run of each model, and model → key."""
    text = STUDY.replace("GFSK", "32QAM").replace("4, batch", "1, batch")  # which likelihood takes
    store, keys = Store(tmp_path_factory.mktemp("used") / "store"), {}
    runs = [*load_study(STUDY.replace(", likelihood", "")).runs(), load_study(text).runs()[-1]]
    for run in runs:
        list(compute(run, [], store))
        keys[run.model] = run.key
    return store, keys


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A folder with a network of one's own, a store with a run of it, and its key."""
    folder = tmp_path_factory.mktemp("own")
    for name, text in (("my_net.py", NET), ("helper.py", HELPER)):
        (folder / name).write_text(text)
    changed = STUDY.replace("[hoc_svm, mod_lcnn, likelihood]", "my_net.MyNet").replace("epochs: 4", "epochs: 1")
    (folder / "own.yaml").write_text(f"code: [my_net.py, helper.py]\n{changed}")
    [run] = load_study(str(folder / "own.yaml")).runs()
    store = Store(folder / "store")
    list(compute(run, [], store))
    return folder, store, run.key


def signals(name: str, segments: int, length: int = 128) -> np.ndarray:
    x = simulate(Scenario(upsampling=8), name, 18, range(5000, 5000 + segments), length).numpy()
    return np.stack([x.real, x.imag], axis=1)


def test_load_run_gives_the_network_with_its_weights_and_class_names(trained):
    store, keys = trained
    loaded = load_run(keys["mod_lcnn"][:12], store)
    assert loaded.key == keys["mod_lcnn"] and loaded.classes == ("BPSK", "16QAM", "GFSK") and loaded.length == 128
    assert not loaded.network.training
    for name, values in store.run(loaded.key).weights().items():
        assert torch.equal(loaded.network.state_dict()[name], values)
    x = torch.from_numpy(signals("BPSK", 20).astype(np.float32))
    probabilities = loaded.probabilities(x)
    torch.testing.assert_close(probabilities, loaded.network(x).softmax(1))
    assert probabilities.argmax(1).bincount(minlength=3)[0] > 15
    assert load_run(store=store, where="model = 'hoc_svm'").key == keys["hoc_svm"]


def test_a_classifier_without_weights_is_not_loaded(trained):
    store, keys = trained
    with pytest.raises(AmcError, match="likelihood has no weights"):
        load_run(keys["likelihood"], store)


def test_a_network_of_ones_own_is_loaded_by_the_code_that_trained_it_alone(own, tmp_path):
    folder, store, key = own
    with pytest.raises(AmcError, match=r"give --code helper\.py --code my_net\.py"):
        load_run(key, store)
    files = [folder / "my_net.py", folder / "helper.py"]
    assert load_run(key, store, files).probabilities(torch.randn(2, 2, 128)).shape == (2, 3)
    (tmp_path / "my_net.py").write_text(NET.replace("width=4", "width=5"))
    with pytest.raises(AmcError, match="weights are used only with the code that trained them"):
        load_run(key, store, [tmp_path / "my_net.py", folder / "helper.py"])


@pytest.mark.parametrize("ending", ["onnx", "pt2", "safetensors"])
def test_amc_export_writes_a_file_and_says_how_far_its_scores_are_off(trained, amc, tmp_path, ending):
    store, keys = trained
    path = tmp_path / f"net.{ending}"
    done = amc("export", keys["hoc_svm"][:10], "--to", str(path), "--store", str(store.path))
    assert done.returncode == 0, done.stderr
    assert path.is_file() and f"written: {path}" in done.stdout
    assert "Compared on 100 instances: scores differ by at most" in done.stdout
    assert (tmp_path / "net.py").is_file() == (ending == "safetensors")


def test_a_network_of_ones_own_is_exported_too(own, amc, tmp_path):
    folder, store, key = own
    code = [part for name in ("my_net.py", "helper.py") for part in ("--code", str(folder / name))]
    done = amc("export", key, "--to", str(tmp_path / "net.onnx"), "--store", str(store.path), *code)
    assert done.returncode == 0 and (tmp_path / "net.onnx").is_file()


def test_amc_classify_prints_each_segment_of_a_sigmf_recording_and_the_shares(trained, amc, tmp_path):
    store, keys = trained
    x = signals("16QAM", 6)
    write_sigmf(tmp_path / "capture", x, 200e3, "16QAM", 18.0)
    arguments = ["classify", keys["mod_lcnn"], str(tmp_path / "capture.sigmf-meta"), "--store", str(store.path)]
    done = amc(*arguments)
    assert done.returncode == 0, done.stderr
    assert "samples 640 to 767" in done.stdout and "100.0 %" in done.stdout
    amc(*arguments, "--csv", str(tmp_path / "segments.csv"))
    rows = pd.read_csv(tmp_path / "segments.csv")
    expected = load_run(keys["mod_lcnn"], store).probabilities(torch.from_numpy(x.astype(np.float32)))
    np.testing.assert_allclose(rows["probability"], expected.max(1)[0], atol=1e-5)
    assert (rows["class"] == "16QAM").sum() >= 5 and set(rows["label"]) == {"16QAM"}


def test_a_recording_of_which_nothing_is_known_is_classified_and_silence_is_no_class(trained, amc, tmp_path):
    store, keys = trained
    x = signals("BPSK", 4)
    x[2] = 0
    write_sigmf(tmp_path / "capture", x, 200e3, "BPSK", 18.0)
    meta = json.loads((tmp_path / "capture.sigmf-meta").read_text())
    meta["annotations"] = []
    for name in ("core:label", "signal:detail", "amc:length"):
        meta["global"].pop(name, None)
    (tmp_path / "capture.sigmf-meta").write_text(json.dumps(meta))
    with pytest.raises(AmcError, match="names its modulation"):
        open_recording(tmp_path / "capture.sigmf-meta", 128)
    path = str(tmp_path / "segments.csv")
    done = amc("classify", keys["hoc_svm"], str(tmp_path), "--store", str(store.path), "--csv", path)
    assert done.returncode == 0, done.stderr
    rows = pd.read_csv(path)
    assert rows["class"].tolist() == ["BPSK", "BPSK", "none", "BPSK"] and set(rows["label"]) == {"UNKNOWN"}
    assert rows["probability"].isna().tolist() == [False, False, True, False]


def test_several_files_of_several_kinds_have_shares_each(trained, amc, tmp_path):
    store, keys = trained
    write_radioml2018(tmp_path / "a.h5", [(signals("BPSK", 3), 0, 18.0)], ["BPSK"])
    write_sigmf(tmp_path / "b", signals("GFSK", 2), 200e3, "GFSK", 18.0)
    files = [str(tmp_path / name) for name in ("a.h5", "b.sigmf-meta")]
    done = amc("classify", keys["mod_lcnn"], *files, "--store", str(store.path))
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "%" in line]
    assert any("a.h5" in line and "BPSK" in line for line in lines) and any("b.sigmf" in line for line in lines)


def test_a_raw_capture_and_an_array_whose_fields_are_told_are_classified(trained, amc, tmp_path):
    store, keys = trained
    x = signals("16QAM", 5, 256)
    (x[:, 0] + 1j * x[:, 1]).astype(np.complex64).tofile(tmp_path / "capture.cfile")
    (x[:, 0] + 1j * x[:, 1]).astype(np.complex64).tofile(tmp_path / "capture.dat")
    np.savez(tmp_path / "told.npz", X=x, y=np.array(["16QAM"] * 5))
    files = [str(tmp_path / "capture.cfile"), f"{{file: {tmp_path / 'told.npz'}, iq: X, label: y}}"]
    files.append(f"{{file: {tmp_path / 'capture.dat'}, datatype: complex64}}")
    csv = tmp_path / "segments.csv"
    done = amc("classify", keys["mod_lcnn"], *files, "--store", str(store.path), "--csv", str(csv))
    assert done.returncode == 0, done.stderr
    rows = pd.read_csv(csv)
    assert rows.groupby("file").size().tolist() == [10, 10, 10]  # two segments of 128 from each 256
    first, second, third = (part["probability"].to_numpy() for _, part in rows.groupby("file"))
    np.testing.assert_allclose(first, second, atol=1e-4)
    np.testing.assert_allclose(first, third, atol=1e-4)
    assert set(rows["label"]) == {"UNKNOWN", "16QAM"}


def test_an_array_alone_is_classified_and_a_file_named_twice_counts_once(trained, amc, tmp_path):
    store, keys = trained
    (tmp_path / "captures").mkdir()
    write_sigmf(tmp_path / "captures" / "one", signals("QPSK", 3), 200e3, "QPSK", 18.0)
    np.save(tmp_path / "array.npy", signals("QPSK", 2).astype(np.float32))
    files = [str(tmp_path / name) for name in ("captures", "array.npy", "captures/one.sigmf-meta")]
    csv = tmp_path / "segments.csv"
    done = amc("classify", keys["mod_lcnn"], *files, "--store", str(store.path), "--csv", str(csv))
    assert done.returncode == 0, done.stderr
    rows = pd.read_csv(csv)
    assert rows["label"].tolist() == ["QPSK"] * 3 + ["UNKNOWN"] * 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["export", "ffffffff", "--to", "net.onnx"], "holds no run 'ffffffff'"),
        (["export", "--where", "length = 128", "--to", "net.onnx"], "3 runs match where length = 128"),
        (["export", "--where", "model = 'mod_lcnn'", "--to", "net.tflite"], "allowed endings are .onnx, .pt2"),
        (["classify", "", "nowhere.h5", "--where", "model = 'mod_lcnn'"], "nowhere.h5"),
        (["classify", "", "nowhere.h5", "--where", "model = 'likelihood'"], "has no weights"),
        (["export", "--where", "model = 'mod_lcnn'", "--code", "nowhere.py"], "code: 'nowhere.py' is no file"),
        (
            ["classify", "", "{datatype: int16}", "--where", "model = 'mod_lcnn'"],
            "recording {'datatype': 'int16'} is not",
        ),
        (["classify", "", __file__, "--where", "model = 'mod_lcnn'"], "or {file: …, datatype: …} tells its fields"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(trained, amc, tmp_path, monkeypatch, arguments, told):
    monkeypatch.chdir(tmp_path)
    done = amc(*arguments, "--store", str(trained[0].path))
    assert done.returncode == 2 and told in done.stderr
    assert not list(tmp_path.iterdir())
