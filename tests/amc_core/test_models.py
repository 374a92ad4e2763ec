import copy
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from amc_core.errors import AmcError
from amc_core.models import MODELS, build_model, shortest_length, validate_hyperparameters
from amc_core.models.initialisers import he_normal_dense
from amc_core.models.layers import Conv1d, MaxPool1d
from amc_core.models.objective import scores_and_losses
from amc_core.models.resnet import SameConv2d
from amc_core.models.stn_resnext import resample_time, rotate_iq

NETWORKS = [name for name, spec in MODELS.items() if not spec.knows_setting]  # that classify by I/Q alone


@pytest.fixture(autouse=True)
def one_thread():
    """Small networks gain nothing from more threads, and an LSTM crawls when they wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "length", "classes", "count"),
    [
        ("stn_resnext", 1024, 20, 86_212),
        ("stn_resnext", 1024, 11, 85_051),
        ("stn_resnext", 128, 20, 86_212),
        ("cnn1d", 1024, 20, 142_932),
        ("cnn1d", 128, 20, 101_972),
        ("hoc_svm", 1024, 20, 0),
        ("classnet", 1024, 20, 35_508),
        ("classnet", 1024, 11, 34_347),
        ("lstm", 1024, 20, 201_236),
        ("lstm", 128, 20, 201_236),
        ("pf_cnn", 1024, 20, 405_460),
        ("pf_cnn", 128, 20, 176_084),
        ("cnn2d", 1024, 7, 21_179_479),
        ("cnn2d", 128, 7, 2_829_399),
        ("resnet", 1024, 20, 238_324),
        ("resnet", 1024, 7, 236_647),
        ("resnet", 128, 7, 179_303),
        ("vgg", 1024, 7, 256_455),
        ("vgg", 128, 7, 199_111),
        ("mod_lcnn", 1024, 7, 37_487),
        ("mod_lcnn", 128, 7, 37_487),
        ("mod_lrcnn", 1024, 7, 97_663),
        ("mod_lrcnn", 128, 7, 97_663),
    ],
)
def test_a_network_has_as_many_parameters_as_published(name, length, classes, count):
    assert parameters(build_model(name, classes, length)) == count


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("classes", [2, 7])
def test_logits_are_batch_by_classes_at_the_shortest_and_a_usual_length(name, classes):
    for length in (MODELS[name].min_length, 256):
        network = build_model(name, classes, length).eval()
        logits = network(torch.randn(3, 2, length))
        assert logits.shape == (3, classes)
        assert logits.dtype == torch.float32
        assert torch.isfinite(logits).all()


@pytest.mark.parametrize("name", [name for name in NETWORKS if MODELS[name].any_length])
def test_a_network_of_any_length_takes_other_lengths_than_it_was_built_for(name):
    network = build_model(name, 5, 1024).eval()
    for length in (MODELS[name].min_length, 333):
        assert network(torch.randn(2, 2, length)).shape == (2, 5)


@pytest.mark.parametrize("name", [name for name in NETWORKS if MODELS[name].epochs])
def test_gradient_reaches_every_parameter(name):
    torch.manual_seed(0)
    network = build_model(name, 4, 256)
    _, losses = scores_and_losses(network, torch.randn(16, 2, 256), torch.arange(16) % 4)
    losses.mean().backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("name", [name for name in NETWORKS if MODELS[name].epochs])
def test_the_dense_layers_that_end_in_the_logits_are_named_head(name):
    network = build_model(name, 4, 256)
    assert any(isinstance(layer, nn.Linear) for layer in network.head.modules())
    logits = []
    network.head.register_forward_hook(lambda _, inputs, output: logits.append(output))
    assert network(torch.randn(2, 2, 256)) is logits[0]


@pytest.mark.parametrize("name", NETWORKS)
def test_an_instance_is_classified_alike_alone_and_in_a_batch(name):
    torch.manual_seed(1)
    network = build_model(name, 4, 256).eval()
    x = torch.randn(5, 2, 256)
    torch.testing.assert_close(network(x)[3:4], network(x[3:4]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_equal_seeds_give_equal_weights(name):
    torch.manual_seed(3)
    first = build_model(name, 4, 256).state_dict()
    torch.manual_seed(3)
    second = build_model(name, 4, 256).state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


# The registry


def test_the_registry_needs_no_torch():
    code = (
        "import sys, amc_core.models as m; m.validate_hyperparameters('stn_resnext', {'blocks': 4}); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_defaults_are_filled_in_and_are_json():
    values = validate_hyperparameters("stn_resnext", {"blocks": 4})
    assert values == {
        "blocks": 4,
        "cardinality": 2,
        "width": 16,
        "channels": 32,
        "localizer_blocks": 3,
        "localizer_constant": [0.7, -0.7, 0.1, 0.3, 0.7, 0.2],
        "transform": "time",
    }
    assert json.loads(json.dumps(values)) == values


def test_a_preset_and_its_list_are_one_value():
    for constant in ("paper", [0.7, -0.7, 0.1, 0.3, 0.7, 0.2], (0.7, -0.7, 0.1, 0.3, 0.7, 0.2)):
        values = validate_hyperparameters("stn_resnext", {"localizer_constant": constant})
        assert values == validate_hyperparameters("stn_resnext", {})
    identity = validate_hyperparameters("stn_resnext", {"localizer_constant": "identity"})
    assert identity["localizer_constant"] == [1, 0, 0, 0, 1, 0]


def test_an_unknown_model_is_refused_with_the_nearest_name():
    with pytest.raises(AmcError, match=r"model \['cnn1d'\] is not known"):
        build_model(["cnn1d"], 20, 1024)
    with pytest.raises(AmcError, match=r"'stn_resnex' is not known; did you mean 'stn_resnext'.*cnn1d"):
        build_model("stn_resnex", 20, 1024)


def test_an_unknown_hyperparameter_is_refused_with_the_nearest_name():
    with pytest.raises(AmcError, match=r"no hyperparameter 'block'; did you mean 'blocks'.*width"):
        validate_hyperparameters("stn_resnext", {"block": 3})
    with pytest.raises(AmcError, match=r"'lstm' has no hyperparameter 'width'; it has none"):
        validate_hyperparameters("lstm", {"width": 3})


@pytest.mark.parametrize(
    ("hyperparameter", "value", "allowed"),
    [
        ("blocks", 0, "a whole number from 1 to 10"),
        ("blocks", True, "a whole number"),
        ("blocks", 3.5, "a whole number"),
        ("width", "wide", "a whole number"),
        ("transform", "phase", "known: time, time_iq"),
        ("transform", ["time"], "known: time, time_iq"),
        ("localizer_constant", "none", '"paper" or "identity"'),
        ("localizer_constant", [1, 0, 0], "6 numbers from -2 to 2"),
        ("localizer_constant", [1, 0, 0, 0, 1, float("nan")], "6 numbers"),
        ("localizer_constant", [1, 0, 0, 0, 1, 9], "6 numbers from -2 to 2"),
    ],
)
def test_a_wrong_value_is_refused_with_the_allowed_ones(hyperparameter, value, allowed):
    with pytest.raises(AmcError, match=allowed) as refused:
        build_model("stn_resnext", 20, 1024, **{hyperparameter: value})
    assert hyperparameter in str(refused.value)
    assert repr(value) in str(refused.value)


@pytest.mark.parametrize("spelled", [3, 3.0, "3", "0.3e1", np.int64(3)])
def test_equal_numbers_are_one_hyperparameter_however_they_are_written(spelled):
    values = validate_hyperparameters("stn_resnext", {"blocks": spelled})
    assert values["blocks"] == 3 and type(values["blocks"]) is int


def test_too_short_an_instance_is_refused():
    with pytest.raises(AmcError, match=r"model 'cnn1d': length 100 is not allowed: .* from 128"):
        build_model("cnn1d", 20, 100)
    with pytest.raises(AmcError, match="from 512"):
        build_model("stn_resnext", 20, 256, blocks=9)


def test_too_few_classes_are_refused():
    with pytest.raises(AmcError, match=r"model 'cnn1d': classes 1 is not allowed: .* from 2"):
        build_model("cnn1d", 1, 1024)


@pytest.mark.parametrize("blocks", [1, 2, 9])
@pytest.mark.parametrize("localizer_blocks", [1, 8])
def test_networks_of_all_depths_take_their_shortest_length(blocks, localizer_blocks):
    depths = dict(blocks=blocks, localizer_blocks=localizer_blocks)
    length = shortest_length("stn_resnext", depths)
    assert build_model("stn_resnext", 3, length, **depths)(torch.randn(2, 2, length)).shape == (2, 3)


# STN-ResNeXt


def test_the_parts_of_stn_resnext_have_as_many_parameters_as_published():
    network = build_model("stn_resnext", 20, 1024)
    assert parameters(network.classnet) == parameters(network.classnet_transformed) == 28_704
    assert parameters(network.classnet.blocks[0]) == 3_680
    assert parameters(network.localizer) == 17_904
    assert parameters(network.head) == 10_900


@pytest.mark.parametrize(
    "change", [dict(cardinality=4, width=8), dict(channels=16), dict(width=24, cardinality=1), dict(blocks=3)]
)
@pytest.mark.parametrize("transform", ["time", "time_iq"])
def test_other_shapes_of_stn_resnext_run(change, transform):
    network = build_model("stn_resnext", 5, 256, transform=transform, **change)
    assert network(torch.randn(2, 2, 256)).shape == (2, 5)


def test_a_resnext_block_is_its_paths_computed_apart():
    torch.manual_seed(0)
    block = build_model("stn_resnext", 5, 256, cardinality=4, width=8).classnet.blocks[0]
    nn.init.uniform_(block.split.bias)
    x = torch.randn(3, 32, 50)
    paths = []
    for path in range(4):
        rows = slice(8 * path, 8 * path + 8)
        hidden = nn.functional.conv1d(x, block.split.weight[rows], block.split.bias[rows]).relu()
        weight, bias = block.transform.weight[rows], block.transform.bias[rows]
        paths.append(nn.functional.conv1d(hidden, weight, bias, padding=1))
    merged = block.merge(torch.cat(paths, dim=1).relu()).relu()
    torch.testing.assert_close(block(x), (x + merged).relu())


def read_with_zeros_outside(row: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Linear interpolation of `row` at sample positions, with a sample of zero before and after it."""
    return np.interp(positions, np.arange(-1, len(row) + 1), np.concatenate([[0], row, [0]]))


@pytest.mark.parametrize("length", [64, 101])
def test_resampled_time_is_linear_interpolation(length):
    rng = np.random.default_rng(0)
    x, theta = rng.normal(size=(7, 2, length)), rng.uniform(-1, 1, size=(7, 6))
    actual = resample_time(torch.as_tensor(x), torch.as_tensor(theta)).numpy()
    time = np.linspace(-1, 1, length)
    for instance in range(7):
        source = theta[instance, 0] * time - theta[instance, 1] + theta[instance, 2]
        positions = (source + 1) / 2 * (length - 1)
        for row in range(2):
            expected = read_with_zeros_outside(x[instance, row], positions)
            np.testing.assert_allclose(actual[instance, row], expected, atol=1e-10)


def test_resampled_time_is_the_affine_grid_of_an_image_one_row_high():
    torch.manual_seed(0)
    x, theta = torch.randn(4, 2, 100), torch.randn(4, 6)
    width = torch.linspace(-1, 1, 100).expand(4, -1)
    across = theta[:, 0:1] * width + theta[:, 1:2] * -1 + theta[:, 2:3]
    grid = torch.stack([across, torch.zeros_like(across)], dim=-1)[:, None]
    expected = nn.functional.grid_sample(x[:, :, None], grid, align_corners=True)[:, :, 0]
    torch.testing.assert_close(resample_time(x, theta), expected, atol=1e-4, rtol=1e-4)


def test_at_the_papers_constant_output_n_reads_input_562_7_plus_0_70_n():
    ramp = torch.arange(1024, dtype=torch.float64).expand(1, 2, -1)
    theta = torch.tensor([[0.7, -0.7, 0.1, 0.3, 0.7, 0.2]], dtype=torch.float64)
    read = resample_time(ramp, theta)[0, 0]
    n = torch.arange(1024, dtype=torch.float64)
    inside = 562.65 + 0.7 * n <= 1023
    torch.testing.assert_close(read[inside], (562.65 + 0.7 * n)[inside])
    assert torch.all(read[562.65 + 0.7 * n >= 1024] == 0)


def test_the_gradient_of_resampled_time_is_that_of_its_finite_differences():
    torch.manual_seed(0)
    x = torch.randn(2, 2, 20, dtype=torch.float64, requires_grad=True)
    theta = (torch.randn(2, 6, dtype=torch.float64) * 0.3 + 0.5).requires_grad_()
    assert torch.autograd.gradcheck(resample_time, (x, theta))
    assert torch.autograd.gradcheck(rotate_iq, (x, theta))


def test_no_finite_theta_reads_outside_the_instance():
    x = torch.randn(3, 2, 64)
    theta = torch.tensor([[1e6, 0, 0, 0, 0, 0], [0, 1e30, 0, 0, 0, 0], [0, -1e30, 0, 0, 0, 0]])
    assert torch.isfinite(resample_time(x, theta)).all()


def test_a_theta_that_is_not_a_number_gives_nan():
    theta = torch.full((3, 6), float("nan"))
    assert torch.isnan(resample_time(torch.randn(3, 2, 64), theta)).all()


@pytest.mark.parametrize("transform", ["time", "time_iq"])
def test_with_the_identity_constant_and_nothing_learned_the_instance_is_unchanged(transform):
    network = build_model("stn_resnext", 5, 1024, localizer_constant="identity", transform=transform)
    nn.init.zeros_(network.localizer.dense[-1].weight)
    x = torch.randn(3, 2, 1024)
    theta = network.localizer(x)
    torch.testing.assert_close(rotate_iq(resample_time(x, theta), theta), x, atol=1e-3, rtol=0)
    network.classnet_transformed.load_state_dict(network.classnet.state_dict())
    read = []
    network.head.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    network(x)
    torch.testing.assert_close(read[0][:, :32], read[0][:, 32:], atol=1e-3, rtol=1e-3)


def test_training_starts_near_the_constant():
    torch.manual_seed(0)
    network = build_model("stn_resnext", 5, 1024)
    theta = network.localizer(torch.randn(64, 2, 1024))
    assert (theta - torch.tensor([0.7, -0.7, 0.1, 0.3, 0.7, 0.2])).abs().max() < 0.02


def test_rotate_iq_multiplies_by_a_complex_gain_and_a_carrier():
    torch.manual_seed(0)
    x, theta = torch.randn(4, 2, 90, dtype=torch.float64), torch.randn(4, 6, dtype=torch.float64)
    z, time = torch.complex(x[:, 0], x[:, 1]), torch.linspace(-1, 1, 90, dtype=torch.float64)
    gain = torch.complex(theta[:, 4], theta[:, 3])[:, None] * torch.exp(1j * torch.pi * theta[:, 5:6] * time)
    expected = torch.stack([(gain * z).real, (gain * z).imag], dim=1)
    torch.testing.assert_close(rotate_iq(x, theta), expected)


def test_theta_stays_float32_under_autocast():
    network = build_model("stn_resnext", 5, 256)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert network.localizer(torch.randn(2, 2, 256)).dtype == torch.float32
        network(torch.randn(2, 2, 256)).float().sum().backward()


def test_the_localizer_constant_is_no_weight():
    assert "localizer.constant" not in build_model("stn_resnext", 5, 256).state_dict()


# The other networks


LAYERS_OVER_TIME = [
    *(Conv1d(6, 8, 3, padding="same", groups=2), Conv1d(6, 8, 3), MaxPool1d(2)),
    *(Conv1d(2, 64, 3, padding="same"), Conv1d(1, 32, 7), Conv1d(32, 32, 1)),
    *(Conv1d(64, 32, 3, padding="same"), Conv1d(32, 40, 7, padding="same"), Conv1d(64, 64, 3)),
]


@pytest.mark.parametrize("layer", LAYERS_OVER_TIME, ids=str)
@pytest.mark.parametrize("time", [7, 31])
def test_layers_over_time_are_those_of_pytorch(layer, time):
    layer = copy.deepcopy(layer).double()
    plain = next(kind for kind in (nn.Conv1d, nn.MaxPool1d) if isinstance(layer, kind))
    x = torch.randn(4, getattr(layer, "in_channels", 6), time, dtype=torch.float64, requires_grad=True)
    inputs = [x, *layer.parameters()]
    output, expected = layer(x), plain.forward(layer, x)
    torch.testing.assert_close(output, expected)
    downstream = torch.randn_like(expected)
    gradients = torch.autograd.grad(output, inputs, downstream)
    for gradient, reference in zip(gradients, torch.autograd.grad(expected, inputs, downstream), strict=True):
        torch.testing.assert_close(gradient, reference)


@pytest.mark.parametrize("name", ["stn_resnext", "cnn1d"])
def test_a_training_step_is_deterministic_bit_for_bit(name):
    torch.manual_seed(0)
    network, x = build_model(name, 4, 256), torch.randn(16, 2, 256)
    gradients = []
    for _ in range(2):
        loss = nn.functional.cross_entropy(network(x), torch.arange(16) % 4)
        gradients.append(torch.autograd.grad(loss, list(network.parameters())))
    assert all(torch.equal(first, again) for first, again in zip(*gradients, strict=True))


@pytest.mark.parametrize("time", [1, 2, 3])
def test_a_tap_that_meets_padding_alone_has_no_gradient(time):
    layer, x = Conv1d(32, 32, 7, padding="same").double(), torch.randn(2, 32, time, dtype=torch.float64)
    gradient = torch.autograd.grad(layer(x).square().sum(), layer.weight)[0]
    expected = torch.autograd.grad(nn.Conv1d.forward(layer, x).square().sum(), layer.weight)[0]
    torch.testing.assert_close(gradient, expected)


def test_a_frozen_convolution_passes_its_gradient_on_and_gets_none():
    layer, x = Conv1d(32, 32, 3, padding="same").requires_grad_(False), torch.randn(2, 32, 20, requires_grad=True)
    layer(x).square().sum().backward()
    assert layer.weight.grad is None and layer.bias.grad is None
    assert x.grad.abs().sum() > 0


def test_the_convolution_after_iq_pooling_is_the_padded_one():
    layer, x = SameConv2d(), torch.randn(2, 32, 20, 1)
    padded = nn.functional.conv2d(nn.functional.pad(x, (0, 1, 1, 1)), layer.weight, layer.bias)
    torch.testing.assert_close(layer(x), padded)


def test_lstm_has_one_bias_a_gate():
    network = build_model("lstm", 4, 64)
    x, labels = torch.randn(8, 2, 64), torch.arange(8) % 4
    copied = copy.deepcopy(network)
    for trained in (network, copied):
        optimiser = torch.optim.SGD(trained.parameters(), lr=1.0)
        nn.functional.cross_entropy(trained(x), labels).backward()
        optimiser.step()
        assert not any("bias_hh" in key for key in trained.state_dict())
        assert all(torch.all(bias == 0) for name, bias in trained.named_buffers() if "bias_hh" in name)
        assert trained.lstm.bias_ih_l0[128:256].mean() > 0.5
    restored = build_model("lstm", 4, 64).eval()
    restored.load_state_dict(network.state_dict())
    assert torch.equal(restored(x), network.eval()(x))
    assert restored.double()(x.double()).dtype == torch.float64


def test_lstm_sees_normalised_amplitude_and_phase_in_units_of_pi():
    network = build_model("lstm", 4, 64).eval()
    seen = []
    network.lstm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = torch.randn(3, 2, 64)
    network(x)
    amplitude, phase = seen[0].unbind(-1)
    torch.testing.assert_close(amplitude.square().sum(-1), torch.ones(3))
    z = torch.polar(amplitude, torch.pi * phase)
    torch.testing.assert_close(z / z.abs(), torch.complex(x[:, 0], x[:, 1]) / x.norm(dim=1))


# Initial weights


@pytest.mark.parametrize("name", ["cnn1d", "stn_resnext", "vgg", "mod_lcnn"])
def test_convolutions_start_glorot_uniform_with_zero_biases(name):
    network = build_model(name, 20, 1024)
    for part, layer in network.named_modules():
        if isinstance(layer, nn.Conv1d):
            inputs, outputs = layer.in_channels // layer.groups, layer.out_channels // layer.groups
            if part.endswith("split"):
                outputs //= 2  # two paths side by side
            bound = (6 / (layer.kernel_size[0] * (inputs + outputs))) ** 0.5
            assert 0.95 * bound < layer.weight.abs().max() <= bound, part
            assert torch.all(layer.bias == 0), part


def test_he_normal_dense_layers_are_truncated_normals_of_variance_two_by_fan_in():
    torch.manual_seed(0)
    layer = nn.Linear(500, 800)
    he_normal_dense(layer)
    assert layer.weight.std().item() == pytest.approx((2 / 500) ** 0.5, rel=0.01)
    assert layer.weight.abs().max() <= 2 * (2 / 500) ** 0.5 / 0.8796
    assert torch.all(layer.bias == 0)


# HOC-SVM


def noisy_symbols(points: torch.Tensor, instances: int, seed: int, length: int = 512) -> torch.Tensor:
    """Instances [instances, 2, length] of unit-power symbols at 10 dB SNR, each under a random phase."""
    generator = torch.Generator().manual_seed(seed)
    z = (points / points.abs().square().mean().sqrt())[
        torch.randint(len(points), (instances, length), generator=generator)
    ]
    z = z * torch.exp(2j * torch.pi * torch.rand(instances, 1, generator=generator))
    z = z + 0.1**0.5 * torch.randn(instances, length, dtype=torch.complex64, generator=generator)
    return torch.stack([z.real, z.imag], dim=1)


BPSK = torch.tensor([-1, 1], dtype=torch.complex64)
QPSK = torch.tensor([1, 1j, -1, -1j], dtype=torch.complex64)
QAM16 = torch.tensor([i + 1j * q for i in (-3, -1, 1, 3) for q in (-3, -1, 1, 3)], dtype=torch.complex64)


@pytest.mark.parametrize("constellations", [(BPSK, QAM16), (QAM16, BPSK), (BPSK, QPSK, QAM16)])
def test_hoc_svm_separates_easy_constellations_and_round_trips(constellations):
    classes, count = len(constellations), 60
    labels = np.repeat(np.arange(classes), count)
    training = torch.cat([noisy_symbols(points, count, seed) for seed, points in enumerate(constellations)])
    test = torch.cat([noisy_symbols(points, count, 10 + seed) for seed, points in enumerate(constellations)])
    network = build_model("hoc_svm", classes, 512)
    network.fit(network.features(training).numpy(), labels, seed=0)
    assert (network(test).argmax(-1).numpy() == labels).all()

    restored = build_model("hoc_svm", classes, 512)
    restored.load_state_dict(network.state_dict())
    assert torch.equal(restored(test), network(test))


def test_hoc_svm_scores_are_those_of_scikit_learn():
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    x = torch.cat([noisy_symbols(points, 40, seed) for seed, points in enumerate((BPSK, QPSK, QAM16))])
    labels = np.repeat(np.arange(3), 40)
    network = build_model("hoc_svm", 3, 512)
    features = network.features(x).numpy()
    network.fit(features, labels, seed=0)
    telling = np.delete(features, 1, axis=1).astype(np.float64)  # without C21, which is always 1
    reference = make_pipeline(StandardScaler(), LinearSVC(dual=False)).fit(telling, labels)
    np.testing.assert_allclose(network(x).numpy(), reference.decision_function(telling), atol=2e-3)


def test_hoc_svm_does_not_amplify_the_constant_power_feature():
    x = torch.cat([noisy_symbols(BPSK, 20, 0), noisy_symbols(QAM16, 20, 1)])
    network = build_model("hoc_svm", 2, 512)
    network.fit(network.features(x).numpy(), np.repeat([0, 1], 20), seed=0)
    assert network.scale[1] == 1


def test_hoc_svm_refuses_to_fit_a_class_without_instances():
    network = build_model("hoc_svm", 3, 512)
    with pytest.raises(AmcError, match=r"labels without instances: 1"):
        network.fit(np.random.default_rng(0).normal(size=(6, 11)), np.array([0, 2] * 3), seed=0)


@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize("name", [name for name, spec in MODELS.items() if spec.epochs])
def test_every_network_learns_from_the_shortest_instances_that_it_takes(name, more):
    length = shortest_length(name) + more
    network = build_model(name, 3, length)
    scores, losses = scores_and_losses(network, torch.randn(2, 2, length), torch.arange(2))
    (scores.square().sum() + losses.sum()).backward()
    gradients = [parameter.grad for parameter in network.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
