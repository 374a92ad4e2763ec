"""Multiply-accumulates and parameters against counts by hand."""

import pytest
import torch
from torch import nn

from amc_core.models import build_model
from amc_core.models.complexity import multiply_accumulates, parameters
from amc_core.models.layers import Conv1d


class LastStep(nn.Module):
    """An LSTM over time: [batch, features, time] → [batch, hidden]."""

    def __init__(self, hidden: int, layers: int):
        super().__init__()
        self.lstm = nn.LSTM(2, hidden, num_layers=layers, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lstm(x.mT)[0][:, -1]


@pytest.mark.parametrize(
    ("layer", "count"),
    [
        (nn.Conv1d(2, 8, 5), 96 * 8 * 2 * 5),
        (Conv1d(2, 8, 5, padding="same"), 100 * 8 * 2 * 5),
        (Conv1d(2, 8, 5, padding="same", groups=2), 100 * 8 * 1 * 5),
        (nn.Sequential(nn.Unflatten(1, (1, 2)), nn.Conv2d(1, 4, (2, 3))), 98 * 4 * 2 * 3),
        (nn.Sequential(nn.Flatten(), nn.Linear(200, 7)), 200 * 7),
        (LastStep(16, layers=1), 100 * 4 * 16 * (2 + 16)),
        (LastStep(16, layers=2), 100 * 4 * 16 * (2 + 16 + 16 + 16)),
    ],
)
def test_one_layer_costs_its_weights_at_every_position(layer, count):
    assert multiply_accumulates(layer, 100) == count


def test_stn_resnext_costs_what_a_count_by_hand_gives():
    def trunk(blocks: int, length: int = 1024) -> int:
        """The stem at the full and half length, then blocks, each at half the length of the one before."""
        stem = length * 64 * 2 * 3 + length // 2 * 32 * 64 * 3
        block = 32 * 32 + 2 * 16 * 16 * 3 + 32 * 32  # two paths of 16 channels, split and merged
        return stem + sum(length // 2 ** (place + 1) * block for place in range(blocks))

    by_hand = 2 * trunk(6) + trunk(3) + (32 * 6 + 6 * 6) + (64 * 128 + 128 * 20)
    assert by_hand == pytest.approx(21e6, rel=0.01)
    assert multiply_accumulates(build_model("stn_resnext", 20, 1024), 1024) == by_hand


def test_cnn1d_costs_what_a_count_by_hand_gives():
    lengths = [1022, 509, 252, 124, 60, 28, 12]  # valid convolutions, halved after each
    convolutions = lengths[0] * 64 * 2 * 3 + sum(lengths[1:]) * 64 * 64 * 3
    assert multiply_accumulates(build_model("cnn1d", 20, 1024), 1024) == convolutions + 384 * 128 + 128 * 128 + 128 * 20


def test_lstm_costs_its_weights_at_every_sample():
    weights = 4 * 128 * (2 + 128) + 4 * 128 * (128 + 128)
    assert multiply_accumulates(build_model("lstm", 20, 300), 300) == 300 * weights + 128 * 20


def test_counting_is_the_same_where_gradients_are_not_recorded():
    model = build_model("mod_lcnn", 7, 128)
    with torch.inference_mode():
        assert multiply_accumulates(model, 128) == multiply_accumulates(model, 128) > 0
    assert multiply_accumulates(model, 256) == pytest.approx(2 * multiply_accumulates(model, 128), rel=0.02)


def test_the_parameters_of_hoc_svm_are_its_fit():
    assert parameters(build_model("hoc_svm", 20, 1024)) == 11 + 11 + 20 * 11 + 20
    assert parameters(build_model("stn_resnext", 20, 1024)) == 86_212
