"""What an evaluation keeps, on classifiers whose answers are known beforehand."""

import math

import pytest
import torch

from amc_core.evaluation import CONFIDENCE_BINS, evaluate
from amc_core.instances import Instances
from amc_core.run import Dataset
from amc_core.scenario import Scenario

TRAINED = ("BPSK", "QPSK", "8PSK")


class Always(torch.nn.Module):
    """Recognises one class, with a given largest probability."""

    def __init__(self, recognised: int, probability: float, classes: int = 3):
        super().__init__()
        rest = (1 - probability) / (classes - 1)
        logits = torch.full((classes,), math.log(rest))
        logits[recognised] = math.log(probability)
        self.logits = logits

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(len(x), -1)


def evaluated(sent: tuple[str, ...], recognised: str, probability: float = 0.61):
    dataset = Dataset(Scenario(), sent, (0.0, 10.0), instances=20, length=64, test_instances=5)
    return evaluate(Always(TRAINED.index(recognised), probability), Instances(dataset, "test"), classes=TRAINED)


def test_single_outcomes_come_by_modulation_sent_and_index():
    result = evaluated(("QPSK", "BPSK"), "BPSK")
    assert [row.tolist() for row in result.right] == [[False] * 5 + [True] * 5] * 2
    assert result.modulations == ("QPSK", "BPSK") and result.snrs_db == (0.0, 10.0)
    assert result.accuracy == 0.5


def test_instances_with_a_score_that_is_nan_are_counted():
    assert evaluated(("QPSK", "BPSK"), "BPSK").undefined == 0
    assert evaluated(("QPSK", "16QAM"), "BPSK", probability=math.nan).undefined == 20


def test_a_modulation_that_was_never_trained_has_counts_and_no_accuracy():
    result = evaluated(("QPSK", "16QAM", "BPSK"), "BPSK")
    assert result.sent.tolist() == [1, -1, 0]
    assert result.confusion[0].tolist() == [[5, 0, 0]] * 3  # rows: sent; columns: BPSK, QPSK, 8PSK
    assert list(map(len, result.right)) == [10, 10] and result.accuracy == 0.5
    assert result.loss == pytest.approx((-math.log(0.61) - math.log(0.195)) / 2, rel=1e-5)


def test_largest_probabilities_are_counted_in_bins_right_wrong_and_untrained_apart():
    histogram = evaluated(("QPSK", "16QAM", "BPSK"), "BPSK", probability=0.61).confidence
    expected = torch.zeros(3, CONFIDENCE_BINS, dtype=torch.int64)
    expected[:, 12] = 5  # 0.61 lies in [0.60, 0.65)
    assert torch.equal(histogram, expected.expand(2, -1, -1))


@pytest.mark.parametrize(
    ("others", "bin_"),
    [(0.06, 18), (0.04, 19), (0.0126, 19), (0.0124, 20), (0.0031, 21), (1e-6, 26), (1e-12, 36), (1e-15, 41)],
)
def test_the_last_bin_is_cut_towards_one_also_where_the_probability_rounds_to_one(others, bin_):
    histogram = evaluated(("BPSK",), "BPSK", probability=1 - others).confidence
    assert histogram[0, 0, bin_] == 5 and histogram[0].sum() == 5


def test_modulations_none_of_which_was_trained_have_no_loss():
    result = evaluated(("16QAM", "64QAM"), "BPSK")
    assert list(map(len, result.right)) == [0, 0] and math.isnan(result.loss)


def test_test_instances_follow_those_of_the_validation_part():
    dataset = Dataset(Scenario(), TRAINED, (0.0,), instances=20, test_instances=100)
    assert dataset.indices("test") == range(18, 118)
    assert dataset.indices("train") == range(16) and dataset.indices("validation") == range(16, 18)
    assert dataset.size("test") == 300


def test_as_many_test_instances_as_a_tenth_are_the_same_dataset():
    plain = Dataset(Scenario(), TRAINED, (0.0,), instances=20)
    assert Dataset(Scenario(), TRAINED, (0.0,), instances=20, test_instances=2).key == plain.key
    assert Dataset(Scenario(), TRAINED, (0.0,), instances=20, test_instances=3).key != plain.key
