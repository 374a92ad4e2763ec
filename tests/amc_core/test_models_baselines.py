"""The classifiers that papers compare with: published sizes, layers against closed forms, learning."""

import math

import numpy as np
import pytest
import scipy.signal
import torch
from torch import nn
from torch.nn import functional

from amc_core import Scenario, simulate
from amc_core.models import MODELS, build_model, shortest_length
from amc_core.models.amc_net import MapAttention, SpectrumCorrection
from amc_core.models.attention import SelfAttention
from amc_core.models.cgdnet import GaussianDropout
from amc_core.models.complexity import multiply_accumulates
from amc_core.models.dae import amplitude_and_phase
from amc_core.models.ic_amcnet import GaussianNoise
from amc_core.models.initialisers import glorot_uniform
from amc_core.models.iqformer import AdditiveAttention, AttentionBlock, Spectrogram
from amc_core.models.layers import BatchNorm1d, SameConv2d, SameMaxPool2d, pad_same
from amc_core.models.mcformer import EncoderLayer
from amc_core.models.mcnet import _HalvingAverage
from amc_core.models.objective import scores_and_losses
from amc_core.models.xcit1d_nano import ColumnConv2d, fourier_position


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


# At (128 samples, 11 classes), (1024, 24) and (1024, 20).
SIZES = [
    ("mcldnn", {}, (406_199, 407_876, 407_360)),
    ("pet_cgdnn", {}, (71_871, 75_340, 74_824)),
    ("iqformer", {}, (355_049, 355_894, 355_634)),
    ("iqformer", {"stages": "3-3-3"}, (422_121, 422_966, 422_706)),
    ("iqformer", {"stages": "1-2-1"}, (254_441, 255_286, 255_026)),
    ("amc_net", {}, (466_144, 4_606_509, 4_604_457)),
    ("mcformer", {}, (72_939, 74_616, 74_100)),
    ("mcformer", {"size": "small"}, (10_179, 11_856, 11_340)),
    ("gru2", {}, (151_179, 152_856, 152_340)),
    ("cldnn", {}, (164_433, 884_574, 883_546)),
    ("cldnn2", {}, (517_643, 698_520, 698_004)),
    ("mcnet", {}, (121_611, 126_616, 125_076)),
    ("scrnn", {}, (399_755, 1_379_864, 1_207_828)),
    ("fea_t", {}, (337_739, 342_168, 341_908)),
    ("fea_t", {"layers": 4, "inner": 64}, (121_931, 126_360, 126_100)),
    ("ic_amcnet", {}, (1_264_011, 8_605_720, 8_605_204)),
    ("cgdnet", {}, (124_933, 665_874, 664_846)),
    ("dae", {}, (14_989, 15_210, 15_142)),
    ("resnet_liu", {}, (3_098_283, 21_450_040, 21_449_524)),
    ("densenet_liu", {}, (3_282_603, 21_634_360, 21_633_844)),
    ("xcit1d_nano", {}, (2_836_539, 2_838_216, 2_837_700)),
]


@pytest.mark.parametrize(("name", "hyperparameters", "counts"), SIZES)
def test_a_network_has_as_many_parameters_as_published(name, hyperparameters, counts):
    with torch.device("meta"):
        sizes = [build_model(name, n, length, **hyperparameters) for length, n in ((128, 11), (1024, 24), (1024, 20))]
    assert tuple(map(parameters, sizes)) == counts


@pytest.mark.parametrize(("name", "published"), [("cldnn", 884_374), ("cldnn2", 698_320), ("scrnn", 1_378_840)])
def test_without_the_second_bias_of_a_gate_the_count_is_that_of_keras(name, published):
    network = build_model(name, 24, 1024)
    second = sum(tensor.numel() for part, tensor in network.named_parameters() if "bias_hh" in part)
    assert parameters(network) - second == published


@pytest.mark.parametrize(("classes", "size", "published"), [(10, "large", 72_810), (10, "small", 10_050)])
def test_mcformer_has_the_size_that_its_authors_print_for_ten_classes(classes, size, published):
    assert parameters(build_model("mcformer", classes, 128, size=size)) == published


# Learning

MODULATIONS = ("BPSK", "16QAM", "GFSK", "DSB-AM")


def simulated(indices: range) -> tuple[torch.Tensor, torch.Tensor]:
    """Instances [batch, 2, 128] of four modulations at 18 dB, and their labels [batch]."""
    scenario = Scenario("awgn", 8)
    signals = torch.cat([simulate(scenario, name, 18, indices, length=128) for name in MODULATIONS])
    return torch.stack([signals.real, signals.imag], dim=1), torch.arange(4).repeat_interleave(len(indices))


@pytest.fixture(scope="module")
def training():
    return simulated(range(128))


@pytest.fixture(scope="module")
def test_part():
    return simulated(range(1000, 1032))


def accuracy_after(network: nn.Module, training, test_part, steps: int, learning_rate: float) -> float:
    """Accuracy after a few steps of Adam with batches of 24; batch statistics are those of the end of training."""
    optimiser = torch.optim.Adam(network.parameters(), lr=learning_rate)
    x, labels = training
    network.train()
    for step in range(steps):
        batch = torch.randint(len(x), (24,), generator=torch.Generator().manual_seed(step))
        optimiser.zero_grad()
        scores_and_losses(network, x[batch], labels[batch])[1].mean().backward()
        optimiser.step()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None  # the average over what follows
    with torch.no_grad():
        network(x[::4])
        return (network.eval()(test_part[0]).argmax(1) == test_part[1]).float().mean().item()


@pytest.mark.parametrize(
    ("name", "steps", "learning_rate"),
    [
        ("mcldnn", 10, 1e-3),
        ("pet_cgdnn", 12, 3e-3),
        ("iqformer", 10, 1e-2),
        ("amc_net", 10, 3e-3),
        ("mcformer", 10, 3e-3),
        ("gru2", 16, 3e-3),
        ("cldnn", 10, 3e-3),
        ("cldnn2", 12, 3e-3),
        ("mcnet", 12, 3e-3),
        ("scrnn", 12, 3e-3),
        ("fea_t", 12, 3e-3),
        ("ic_amcnet", 10, 1e-3),
        ("cgdnet", 16, 3e-3),
        ("dae", 60, 1e-2),
        ("resnet_liu", 4, 1e-3),
        ("densenet_liu", 4, 1e-3),
        ("xcit1d_nano", 8, 1e-3),
    ],
)
def test_a_few_steps_on_four_modulations_lift_a_network_twenty_points_above_chance(
    name, steps, learning_rate, training, test_part
):
    torch.manual_seed(0)
    assert accuracy_after(build_model(name, 4, 128), training, test_part, steps, learning_rate) > 0.45


def test_from_pytorchs_own_initial_weights_cldnn2_stays_at_chance(training, test_part):
    torch.manual_seed(0)
    network = build_model("cldnn2", 4, 128)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.LSTM):
            layer.reset_parameters()
    assert accuracy_after(network, training, test_part, 12, 3e-3) < 0.3


@pytest.mark.parametrize(("name", "steps"), [("mcldnn", 10), ("ic_amcnet", 20)])
def test_from_pytorchs_own_initial_weights_a_network_learns_later(name, steps, training, test_part):
    losses = []
    for reset in (False, True):
        torch.manual_seed(0)
        network = build_model(name, 4, 128)
        for layer in network.modules():
            if reset and isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Linear | nn.LSTM):
                layer.reset_parameters()
        accuracy_after(network, training, test_part, steps, 1e-3)
        with torch.no_grad():
            losses.append(scores_and_losses(network, *test_part)[1].mean().item())
    assert losses[0] + 0.2 < losses[1]


def test_recurrent_layers_start_orthogonal_with_an_open_forget_gate():
    for layer in (nn.LSTM(6, 16), nn.GRU(6, 16, bidirectional=True)):
        glorot_uniform(layer)
        for name, tensor in layer.named_parameters():
            if name.startswith("weight_hh"):
                torch.testing.assert_close(tensor.T @ tensor, torch.eye(16))
            elif name.startswith("weight_ih"):
                bound = math.sqrt(6 / sum(tensor.shape))
                assert 0.9 * bound < tensor.abs().max() <= bound
            else:
                gates = tensor.view(-1, 16).mean(1).tolist()
                assert gates == ([0, 1, 0, 0] if isinstance(layer, nn.LSTM) and "ih" in name else [0] * len(gates))


def test_the_first_convolution_of_cgdnet_starts_with_lecuns_uniform_distribution():
    weight = build_model("cgdnet", 11, 128).blocks[0][0].weight
    assert 0.95 * math.sqrt(3 / 6) < weight.abs().max() <= math.sqrt(3 / 6)


# Layers


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "zeros"),
    [(128, 8, 1, (3, 4)), (128, 7, 2, (2, 3)), (64, 3, 2, (0, 1)), (63, 3, 2, (1, 1)), (9, 1, 2, (0, 0))],
)
def test_same_padding_is_keras_with_the_odd_zero_at_the_end(size, kernel, stride, zeros):
    padded = pad_same(torch.ones(1, 1, 1, size), (1, kernel), (1, stride))[0, 0, 0]
    before, after = zeros
    assert padded.tolist() == [0] * before + [1] * size + [0] * after
    convolved = SameConv2d(1, 1, (1, kernel), (1, stride))(torch.ones(1, 1, 1, size))
    assert convolved.shape[3] == -(-size // stride)


def test_same_pooling_keeps_both_rows_and_never_takes_the_padding():
    x = -torch.rand(2, 3, 2, 9) - 1
    pooled = SameMaxPool2d((2, 2), (1, 2))(x)
    assert pooled.shape == (2, 3, 2, 5)
    torch.testing.assert_close(pooled[:, :, 0, :4], functional.max_pool2d(x, (2, 2), (1, 2))[:, :, 0])
    torch.testing.assert_close(pooled[:, :, 1, 4], x[:, :, 1, 8])


@pytest.mark.parametrize("time", [1, 8, 9])
def test_the_halving_average_counts_samples_alone(time):
    x = torch.randn(2, 3, 2, time)
    averaged = _HalvingAverage()(x)
    first = 0 if time % 2 == 0 else -1
    for position in range(-(-time // 2)):
        start = 2 * position + first
        window = x[..., max(start, 0) : start + 3]
        torch.testing.assert_close(averaged[..., position], window.mean(-1))


def test_gaussian_dropout_multiplies_and_gaussian_noise_adds_in_training_only():
    torch.manual_seed(0)
    ones = torch.ones(100_000)
    dropped, noisy = GaussianDropout(0.2)(3 * ones), GaussianNoise()(3 * ones)
    assert dropped.mean().item() == pytest.approx(3, abs=0.03)
    assert dropped.std().item() == pytest.approx(3 * math.sqrt(0.2 / 0.8), rel=0.02)
    assert noisy.mean().item() == pytest.approx(3, abs=0.02) and noisy.std().item() == pytest.approx(1, rel=0.02)
    assert torch.equal(GaussianDropout(0.2).eval()(ones), ones) and torch.equal(GaussianNoise().eval()(ones), ones)


def test_batch_normalisation_of_one_value_is_that_of_evaluation():
    layer, x = BatchNorm1d(5), torch.randn(1, 5)
    layer.running_mean.uniform_()
    expected = nn.BatchNorm1d.forward(layer.eval(), x)
    torch.testing.assert_close(layer.train()(x), expected)
    several = torch.randn(4, 5)
    torch.testing.assert_close(layer(several).mean(0), torch.zeros(5), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["dae", "xcit1d_nano", "amc_net", "iqformer"])
def test_a_network_with_batch_normalisation_trains_on_a_batch_of_one(name):
    length = shortest_length(name)
    _, losses = scores_and_losses(build_model(name, 3, length).train(), torch.randn(1, 2, length), torch.tensor([1]))
    losses.sum().backward()
    assert losses.isfinite().all()


def test_self_attention_and_an_encoder_layer_are_those_of_pytorch():
    torch.manual_seed(0)
    ours = EncoderLayer(32, 128)
    theirs = nn.TransformerEncoderLayer(32, 4, 128, dropout=0.0, activation="gelu", batch_first=True)
    pairs = {
        "self_attn.in_proj_weight": ours.attention.projection.weight,
        "self_attn.in_proj_bias": ours.attention.projection.bias,
        "self_attn.out_proj.weight": ours.attention.output.weight,
        "self_attn.out_proj.bias": ours.attention.output.bias,
    }
    for theirs_name, layer in (
        ("linear1", ours.feed_forward[0]),
        ("linear2", ours.feed_forward[2]),
        ("norm1", ours.attention_norm),
        ("norm2", ours.feed_forward_norm),
    ):
        pairs |= {f"{theirs_name}.{kind}": getattr(layer, kind) for kind in ("weight", "bias")}
    theirs.load_state_dict(pairs)
    x = torch.randn(3, 10, 32)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=1e-5)


# Networks, each by what is its own


def test_mcldnns_separate_branches_are_causal_with_a_row_each():
    network = build_model("mcldnn", 4, 64)
    seen = []
    network.apart.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = torch.randn(1, 2, 64)
    later = x.clone()
    later[:, 0, 40:] += 1
    network(x), network(later)
    before, after = seen
    assert before.shape == (1, 50, 2, 64)
    assert torch.equal(before[..., :40], after[..., :40]) and not torch.equal(before[:, :, 0], after[:, :, 0])
    assert torch.equal(before[:, :, 1], after[:, :, 1])


def test_pet_cgdnn_turns_the_instance_back_by_the_estimated_phase():
    network = build_model("pet_cgdnn", 4, 64)
    estimator = network.estimator[1]
    nn.init.zeros_(estimator.weight)
    nn.init.constant_(estimator.bias, 0.7)
    seen = []
    network.features.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = torch.randn(3, 2, 64)
    network(x)
    turned = torch.complex(x[:, 0], x[:, 1]) * np.exp(-0.7j)
    torch.testing.assert_close(torch.complex(seen[0][:, 0], seen[0][:, 1]), turned)


def test_cldnn2_reads_the_time_major_buffer_as_80_steps():
    network = build_model("cldnn2", 4, 40).eval()
    maps, steps = [], []
    network.features.register_forward_hook(lambda _, inputs, output: maps.append(output))
    network.lstm.register_forward_pre_hook(lambda _, inputs: steps.append(inputs[0]))
    network(torch.randn(2, 2, 40))
    buffer = maps[0][:, :, 0].permute(0, 2, 1).flatten(1)  # sample by sample, all maps of each
    assert steps[0].shape == (2, 80, 32)
    assert torch.equal(steps[0].flatten(1), buffer)


@pytest.mark.parametrize("name", ["cldnn", "cgdnet"])
def test_the_steps_of_a_skip_network_are_filters_with_early_and_late_maps_in_a_row(name):
    network = build_model(name, 4, 64).eval()
    recurrent = network.lstm if name == "cldnn" else network.gru
    maps, steps = [], []
    for block in network.blocks:
        block.register_forward_hook(lambda _, inputs, output: maps.append(output))
    recurrent.register_forward_pre_hook(lambda _, inputs: steps.append(inputs[0]))
    network(torch.randn(2, 2, 64))
    lost = 3 if name == "cldnn" else 5
    assert [tuple(map_.shape[1:]) for map_ in maps] == [(50, 2, 64 - lost * block) for block in (1, 2, 3)]
    expected = torch.cat([maps[0][:, 7, 1], maps[2][:, 7, 1]], dim=-1)
    assert torch.equal(steps[0][:, 7].unflatten(-1, (2, -1))[:, 1], expected)


@pytest.mark.parametrize(("length", "columns"), [(128, 1), (1024, 8)])
def test_mcnet_averages_the_published_window_of_both_rows(length, columns):
    network = build_model("mcnet", 4, length)
    seen = []
    network.last.register_forward_hook(lambda _, inputs, output: seen.append(output))
    network(torch.randn(1, 2, length))
    assert seen[0].shape == (1, 256, 2, columns)


@pytest.mark.parametrize("kind", ["real", "magnitude"])
def test_iqformers_spectrogram_is_scipys(kind):
    x = torch.randn(2, 90)
    _, _, expected = scipy.signal.stft(x.numpy(), window="blackman", nperseg=31, noverlap=30, nfft=128)
    expected = torch.as_tensor(expected[:, :32])
    expected = expected.real if kind == "real" else expected.abs()
    torch.testing.assert_close(Spectrogram(kind)(x), expected.float(), atol=1e-6, rtol=1e-5)


def test_additive_attention_is_its_formula():
    torch.manual_seed(0)
    layer, x = AdditiveAttention().double(), torch.randn(2, 9, 64, dtype=torch.float64)
    for instance, out in zip(x, layer(x), strict=True):
        query, key = layer.query(instance), layer.key(instance)
        query, key = query / query.norm(dim=1, keepdim=True), key / key.norm(dim=1, keepdim=True)
        score = query @ layer.score[:, 0] / 8
        score = score / score.norm()
        summary = sum(weight * row for weight, row in zip(score, query, strict=True))
        torch.testing.assert_close(out, layer.output(layer.merge(summary * key) + query))


def test_iqformers_blocks_are_dropped_for_whole_instances_and_keep_their_mean():
    torch.manual_seed(0)
    rates = [block.drop for block in build_model("iqformer", 4, 64, stages="3-3-3").stages if hasattr(block, "drop")]
    assert rates == pytest.approx([0.05, 0.125, 0.2])
    assert {b.drop for b in build_model("iqformer", 4, 64).stages if hasattr(b, "drop")} == {0.0}
    kept = AttentionBlock(0.2)._perhaps(torch.ones(20_000, 64, 3))
    assert kept.unique().tolist() == pytest.approx([0, 1.25])
    assert kept.mean().item() == pytest.approx(1, abs=0.02)
    assert torch.equal(kept.amin(dim=(1, 2)), kept.amax(dim=(1, 2)))


def test_amc_nets_correction_of_unit_weights_doubles_the_instance():
    correction = SpectrumCorrection(32)
    for network in (correction.real, correction.imaginary):
        nn.init.constant_(network[2].bias, 50)  # tanh → 1
    x = torch.randn(3, 2, 32)
    torch.testing.assert_close(correction(x), 2 * x)


def test_amc_nets_attention_is_between_maps_with_the_heads_one_after_the_other():
    torch.manual_seed(0)
    layer, x = MapAttention(10).double().eval(), torch.randn(2, 6, 10, dtype=torch.float64)
    query, key, value = layer.query(x), layer.key(x), layer.value(x)
    heads = []
    for part in (slice(0, 5), slice(5, 10)):
        weights = (query[..., part] @ key[..., part].mT / math.sqrt(5)).softmax(-1)
        heads.append(weights @ value[..., part])
    torch.testing.assert_close(layer(x), torch.cat(heads, dim=1))


def test_mcformer_classifies_the_first_four_tokens():
    network = build_model("mcformer", 4, 100)
    seen = []
    network.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network.encoder.register_forward_hook(lambda _, inputs, output: seen.append(output))
    network(torch.randn(2, 2, 100))
    tokens, classified = seen
    assert tokens.shape == (2, 100, 32)
    assert torch.equal(classified, tokens[:, :4].flatten(1))


@pytest.mark.parametrize(("length", "frames"), [(128, 7), (1024, 63), (47, 1)])
def test_a_token_of_fea_t_is_the_i_then_the_q_of_an_overlapping_frame(length, frames):
    network = build_model("fea_t", 4, length, layers=1)
    seen = []
    network.embedding.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = torch.randn(2, 2, length)
    network(x)
    assert seen[0].shape == (2, frames, 64) and network.position.shape == (frames + 1, 64)
    start = 16 * (frames - 1)
    assert torch.equal(seen[0][:, -1], x[:, :, start : start + 32].flatten(1))


def test_the_shortest_instance_of_a_transformer_is_one_token():
    assert shortest_length("fea_t") == 32 and shortest_length("fea_t", {"frame": 16, "step": 3}) == 16
    assert shortest_length("xcit1d_nano") == 16 and shortest_length("xcit1d_nano", {"patch": 4}) == 8
    for name, hyperparameters in (
        ("fea_t", {"frame": 9}),
        ("xcit1d_nano", {"patch": 5}),
        ("xcit1d_nano", {"patch": 33}),
    ):
        length = shortest_length(name, hyperparameters)
        assert build_model(name, 3, length, **hyperparameters).eval()(torch.randn(2, 2, length)).shape == (2, 3)


def test_daes_loss_is_a_tenth_of_the_cross_entropy_and_nine_tenths_of_the_reconstructions_error():
    torch.manual_seed(0)
    network, x, labels = build_model("dae", 4, 64).eval(), torch.randn(5, 2, 64), torch.tensor([0, 1, 2, 3, 0])
    scores, losses = scores_and_losses(network, x, labels)
    series = amplitude_and_phase(x)
    error = (network.decoder(network.lstm(series)[0]) - series).square().mean(dim=(1, 2))
    entropy = functional.cross_entropy(network(x), labels, reduction="none")
    torch.testing.assert_close(losses, 0.1 * entropy + 0.9 * error)
    assert torch.equal(scores, network(x))


def test_an_instance_of_no_class_has_no_loss():
    for name in ("dae", "gru2"):
        network = build_model(name, 4, 16).eval()
        _, losses = scores_and_losses(network, torch.randn(3, 2, 16), torch.tensor([1, -1, 2]))
        assert (losses == 0).tolist() == [False, True, False]


def test_daes_phase_reaches_from_minus_one_to_one_and_its_amplitude_has_norm_one():
    amplitude, phase = amplitude_and_phase(torch.randn(3, 2, 64)).unbind(-1)
    torch.testing.assert_close(amplitude.square().sum(1), torch.ones(3))
    torch.testing.assert_close(phase.amin(1), -torch.ones(3))
    torch.testing.assert_close(phase.amax(1), torch.ones(3))
    assert amplitude_and_phase(torch.ones(1, 2, 8)).isfinite().all()


def test_a_column_convolution_is_the_image_convolution_of_one_column():
    layer, x = ColumnConv2d(), torch.randn(2, 128, 9)
    torch.testing.assert_close(layer(x), nn.Conv2d.forward(layer, x.unsqueeze(3)).squeeze(3))


def test_fourier_positions_go_once_around_at_the_highest_frequency_and_fill_the_second_half_with_the_only_row():
    table = fourier_position(8, "cpu")
    turn = 2 * torch.pi * torch.arange(1, 9) / 8
    torch.testing.assert_close(table[:, :2], torch.stack([turn.sin(), turn.cos()], dim=1), atol=1e-5, rtol=0)
    torch.testing.assert_close(table[:, 2], (turn / 10_000 ** (1 / 16)).sin(), atol=1e-5, rtol=0)
    torch.testing.assert_close(table[:, 32:], table[-1:, :32].expand(8, -1), atol=1e-5, rtol=0)


# Cost


class Steps(nn.Module):
    """A recurrent layer as a network of its own."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x.mT)[0]


@pytest.mark.parametrize(("kind", "gates"), [(nn.GRU, 3), (nn.LSTM, 4)])
def test_recurrent_layers_cost_their_matrix_products_at_every_step(kind, gates):
    one_way = Steps(kind(2, 16, num_layers=2, batch_first=True))
    assert multiply_accumulates(one_way, 50) == 50 * gates * 16 * ((2 + 16) + (16 + 16))
    both_ways = Steps(kind(2, 16, num_layers=2, batch_first=True, bidirectional=True))
    assert multiply_accumulates(both_ways, 50) == 2 * 50 * gates * 16 * ((2 + 16) + (32 + 16))


def test_attention_costs_its_projections_and_two_products_of_all_pairs():
    network = nn.Sequential(nn.Conv1d(2, 32, 1), nn.Flatten(2), Transposed(), SelfAttention(32, heads=4))
    tokens, width = 50, 32
    expected = tokens * 2 * width + 4 * tokens * width**2 + 2 * tokens**2 * width
    assert multiply_accumulates(network, tokens) == expected


class Transposed(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mT


def test_every_classifier_names_the_year_and_the_paper():
    for spec in MODELS.values():
        assert 1990 <= spec.year <= 2026 and len(spec.source) > 5
