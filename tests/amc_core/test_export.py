"""Exported networks: the file's scores are the network's."""

import json
from dataclasses import replace

import pytest
import torch

from amc_core import Scenario, build_model, simulate
from amc_core.cumulants import cumulants
from amc_core.errors import AmcError
from amc_core.export import _SCALED, INSTANCES, About, check_instances, export_network
from amc_core.fields import fields_of
from amc_core.models import MODELS
from amc_core.models.real_arithmetic import in_real_arithmetic
from amc_core.run import Dataset

MODULATIONS = ("BPSK", "QPSK", "16QAM", "GFSK")
DATASET = Dataset(Scenario("awgn", 8), MODULATIONS, (0.0, 10.0, 18.0), 100, 128)


@pytest.fixture(scope="module")
def x():
    return check_instances(DATASET, 128)


def about(model: str, **hyperparameters) -> About:
    return About("0123456789abcdef01234567", model, hyperparameters, MODULATIONS, 128)


def network_of(model: str) -> torch.nn.Module:
    torch.manual_seed(0)
    network = build_model(model, len(MODULATIONS), 128)
    if model in ("hoc", "hoc_svm"):
        signals = torch.cat([simulate(DATASET.scenario, name, 10, range(20), length=128) for name in MODULATIONS])
        features = network.features(torch.stack([signals.real, signals.imag], 1))
        network.fit(features.numpy(), torch.arange(4).repeat_interleave(20).numpy(), 0)
    for layer in network.modules():  # statistics other than those of a new network
        if getattr(layer, "running_mean", None) is not None:
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 2)
    return network.eval()


@pytest.mark.parametrize("model", [name for name in MODELS if name not in ("likelihood", "hoc")])
def test_an_onnx_file_of_every_classifier_gives_its_scores_on_a_hundred_instances(model, x, tmp_path):
    import onnxruntime

    network = network_of(model)
    written, difference = export_network(tmp_path / "net.onnx", network, about(model), x)
    session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"))
    scores = torch.as_tensor(session.run(["scores"], {"iq": x.numpy()})[0])
    assert written == [tmp_path / "net.onnx"] and scores.shape == (INSTANCES, len(MODULATIONS))
    with torch.no_grad():
        expected = network(x)
    assert torch.equal(scores.argmax(1), expected.argmax(1))
    if model != "hoc_svm":
        assert (scores - expected).abs().max() <= 1e-4 and difference <= 1e-4
    told = session.get_modelmeta().custom_metadata_map
    assert json.loads(told["classes"]) == list(MODULATIONS) and json.loads(told["length"]) == 128


@pytest.mark.parametrize("model", ["hoc_svm", "mod_lcnn"])
def test_a_pt2_file_gives_the_scores(model, x, tmp_path):
    network = network_of(model)
    export_network(tmp_path / "net.pt2", network, about(model), x)
    with torch.no_grad():
        torch.testing.assert_close(torch.export.load(tmp_path / "net.pt2").module()(x), network(x), rtol=0, atol=1e-4)


@pytest.mark.parametrize("model", ["hoc_svm", "hoc", "mcformer"])
def test_the_loader_beside_safetensors_gives_network_and_classes(model, x, tmp_path, monkeypatch):
    network = network_of(model)
    hyperparameters = {"size": "large"} if model == "mcformer" else {}
    written, difference = export_network(tmp_path / "net.safetensors", network, about(model, **hyperparameters), x)
    assert written == [tmp_path / "net.safetensors", tmp_path / "net.py"] and difference == 0
    names = {"__file__": str(tmp_path / "net.py")}
    exec((tmp_path / "net.py").read_text(), names)
    loaded, classes = names["load"]()
    assert classes == list(MODULATIONS) and not loaded.training
    with torch.no_grad():
        assert torch.equal(loaded(x), network(x))


def test_a_file_says_how_instances_were_scaled_in_training(x, tmp_path):
    import onnx

    described = replace(about("mod_lcnn"), normalisation="none")
    export_network(tmp_path / "net.onnx", network_of("mod_lcnn"), described, x)
    metadata = {entry.key: entry.value for entry in onnx.load(tmp_path / "net.onnx").metadata_props}
    assert metadata["normalisation"] == '"none"'
    export_network(tmp_path / "net.safetensors", network_of("mod_lcnn"), described, x)
    assert "(batch, 2, 128) float32 as recorded to scores" in (tmp_path / "net.py").read_text()
    assert set(_SCALED) == set(fields_of(Scenario)["normalisation"].choices)


def test_cumulants_in_real_numbers_are_those_in_complex_ones(x):
    network = network_of("hoc_svm")
    real = in_real_arithmetic(network.double())
    wide = x.double()
    assert torch.allclose(real(wide), network(wide), rtol=1e-10, atol=1e-10)
    assert cumulants(torch.complex(wide[:, 0], wide[:, 1])).shape == (INSTANCES, 11)


def test_a_spectrum_by_products_of_matrices_is_the_fast_one():
    torch.manual_seed(0)
    network = build_model("amc_net", 4, 96).double().eval()
    x = torch.randn(3, 2, 96, dtype=torch.float64)
    real = in_real_arithmetic(network)
    for name in ("cosines", "sines"):
        angle = 2 * torch.pi * torch.outer(torch.arange(96), torch.arange(96)) / 96
        setattr(
            real.correction, name, getattr(angle.double(), name[:-1].replace("cosine", "cos").replace("sine", "sin"))()
        )
    torch.testing.assert_close(real(x), network(x))


def test_a_classifier_of_scikit_learn_is_refused_where_its_trees_have_no_form(x, tmp_path):
    for ending in (".onnx", ".pt2"):
        with pytest.raises(AmcError, match="its fitted classifier does not compute with tensors"):
            export_network(tmp_path / f"net{ending}", network_of("hoc"), about("hoc"), x)
    assert not list(tmp_path.iterdir())


def test_a_file_whose_scores_differ_is_not_left_behind(x, tmp_path):
    class Drifting(torch.nn.Module):
        calls = 0

        def forward(self, x):
            Drifting.calls += 1
            return x.mean(2) + Drifting.calls

    with pytest.raises(AmcError, match="the file's scores differ from the network's by"):
        export_network(tmp_path / "net.onnx", Drifting(), about("drifting.Drifting"), x)
    assert not list(tmp_path.iterdir())


def test_a_network_that_no_exporter_understands_is_refused_in_a_sentence(x, tmp_path):
    class Branching(torch.nn.Module):
        def forward(self, x):
            return x.mean(2) if x.sum() > 0 else torch.fft.fft(x).real.mean(2)

    with pytest.raises(AmcError, match=r"Branching cannot be exported as \.pt2"):
        export_network(tmp_path / "net.pt2", Branching(), about("branching.Branching"), x)
    with pytest.raises(AmcError, match=r"no format for networks; allowed endings are \.onnx, \.pt2, \.safetensors"):
        export_network(tmp_path / "net.h5", Branching(), about("branching.Branching"), x)
