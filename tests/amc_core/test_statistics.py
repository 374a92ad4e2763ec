"""Intervals hold the truth as often as they say, and tests agree with their closed forms."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from amc_core import statistics
from benchmarks.coverage import INSTANCES, SEEDS, SPREADS, coverage, coverage_of_largest

BARS = {"accuracy": (0.93, 1.0), "drop": (0.93, 1.0), "SNR at 60 %": (0.93, 0.985)}  # 98 %, give or take 2,000 draws


@pytest.mark.parametrize(("n", "spread", "shared"), list(product(INSTANCES, SPREADS, (True, False))))
def test_intervals_hold_the_truth_as_often_as_they_say(n, spread, shared):
    rng = np.random.default_rng(0)
    for seeds in SEEDS:
        for quantity, share in coverage(rng, n, spread, seeds, shared).items():
            low, high = BARS[quantity]
            assert low <= share <= high, (seeds, quantity)


@pytest.mark.parametrize("n", INSTANCES)
def test_seeds_with_instances_of_their_own_taken_as_shared_never_cover_less(n):
    found = coverage(np.random.default_rng(0), n, 0.01, 3, shared=False, told=False)
    assert min(found.values()) >= 0.93


def test_the_largest_of_several_differences_that_are_all_zero_is_held():
    assert coverage_of_largest(np.random.default_rng(0), 1000, 10) >= 0.95


@pytest.mark.parametrize(("strata", "n"), [(13, 1), (20, 2), (20, 5), (520, 2)])
def test_strata_of_a_few_instances_are_covered(strata, n):
    rng = np.random.default_rng(0)
    p = rng.uniform(0.2, 1, strata)
    found = statistics.of_network(rng.binomial(n, p, (2000, strata)), np.full(strata, n))
    assert ((found.low <= p.mean()) & (p.mean() <= found.high)).mean() >= 0.93


def test_one_stratum_gives_wilsons_interval():
    expected = stats.binomtest(17, 40).proportion_ci(method="wilson")
    found = statistics.of_network(np.array([17]), np.array([40]))
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    low, high = statistics.wilson(np.array([0, 17, 40]), np.array([40, 40, 40]))
    assert (low[1], high[1]) == pytest.approx((expected.low, expected.high))
    assert (low[0], high[2]) == pytest.approx((0, 1))


def test_strata_narrow_the_interval_where_they_differ():
    correct, n = np.array([5, 95]), np.array([100, 100])
    strata, pooled = statistics.of_network(correct, n), statistics.wilson(correct.sum(), n.sum())
    assert strata.value == 0.5 and strata.high - strata.low < 0.5 * (pooled[1] - pooled[0])


def test_the_same_run_twice_is_no_new_information():
    once = np.array([[620, 310]])
    n = np.array([1000, 500])
    repeated = statistics.of_training(np.repeat(once, 2, 0), n)
    network = statistics.of_network(once[0], n)
    assert repeated.high - repeated.low == pytest.approx(network.high - network.low, rel=0.01)


def test_the_interval_of_another_training_is_students_beside_what_the_instances_add():
    correct, n = np.array([[340], [420], [510], [380], [450], [470]]) * 100, np.array([100_000])
    found = statistics.of_training(correct, n)
    p = correct[:, 0] / n
    t = stats.t.ppf(0.975, 5) * p.std(ddof=1) / np.sqrt(6)
    instances = stats.norm.ppf(0.975) * np.sqrt(p.mean() * (1 - p.mean()) / n[0])
    assert (found.high - found.low) / 2 == pytest.approx(np.hypot(t, instances), rel=1e-3)
    assert np.isnan(statistics.of_training(correct[:1], n)[1:]).all()


def test_weights_set_the_shares_of_strata():
    correct, n = np.array([10, 90]), np.array([100, 100])
    assert statistics.of_network(correct, n, weights=np.array([3, 1])).value == pytest.approx(0.3)


def test_differences_of_seeds_are_taken_seed_by_seed():
    n, shift = np.array([10_000]), np.array([[0], [800], [-500]])
    own, other = 6000 + shift, 5000 + shift
    paired, apart = (statistics.difference(own, n, other, n, paired=paired) for paired in (True, False))
    instances = stats.norm.ppf(0.975) * np.sqrt((0.61 * 0.39 + 0.51 * 0.49) / 10_000)
    assert paired.value == pytest.approx(0.1) and paired.high - paired.value == pytest.approx(instances, rel=1e-3)
    assert apart.high - apart.low > 3 * (paired.high - paired.low)


def test_a_difference_of_single_networks_is_newcombes():
    # Newcombe 1998, table II, method 10: 56/70 against 48/80.
    found = statistics.difference(np.array([[56]]), np.array([70]), np.array([[48]]), np.array([80]))
    assert found == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_a_side_that_draws_nothing_adds_its_instances_alone():
    n = np.array([1000])
    seeds = np.array([[700], [720], [710]])
    found = statistics.difference(seeds, n, np.array([[600]]), n, paired=False)
    t = stats.t.ppf(0.975, 2) * seeds.std(ddof=1) / 1000 / np.sqrt(3)
    z = stats.norm.ppf(0.975) * np.sqrt((0.71 * 0.29 + 0.6 * 0.4) / 1000)
    assert found.high - found.value == pytest.approx(np.hypot(t, z), rel=1e-3)


def test_mcnemars_test_is_the_binomial_one_on_discordant_instances():
    assert statistics.mcnemar(8, 1) == pytest.approx(stats.binomtest(1, 9).pvalue)
    assert statistics.mcnemar(np.array([4, 0]), np.array([4, 0])) == pytest.approx([1, 1])
    assert statistics.mcnemar(8, 2) < statistics.mcnemar(8, 2.5) < statistics.mcnemar(8, 3)


def test_pairing_narrows_the_difference_of_networks_that_fail_on_the_same_instances():
    rng, draws = np.random.default_rng(0), 2000
    only_own, only_other = rng.binomial(1000, 0.06, draws), rng.binomial(1000, 0.03, draws)
    found = statistics.paired_difference(only_own, only_other, 1000)
    assert 0.93 <= ((found.low <= 0.03) & (0.03 <= found.high)).mean() <= 0.97
    apart = statistics.difference(np.array([[730]]), np.array([1000]), np.array([[700]]), np.array([1000]))
    assert (found.high - found.low).mean() < 0.5 * (apart.high - apart.low)


def test_holms_correction_is_that_of_the_closed_form():
    found = statistics.holm(np.array([0.01, np.nan, 0.04, 0.03, 0.005]))
    assert found[[0, 2, 3, 4]] == pytest.approx([0.03, 0.06, 0.06, 0.02]) and np.isnan(found[1])


def test_holm_claims_falsely_as_rarely_as_it_says():
    p = np.random.default_rng(0).random((2000, 10))
    assert np.mean([(statistics.holm(row) < 0.05).any() for row in p]) == pytest.approx(0.05, abs=0.015)


def test_the_snr_at_a_target_lies_on_the_line_between_tested_snrs():
    snrs, n = np.array([0.0, 10, 20]), np.array([1000, 1000, 1000])
    found = statistics.snr_at(snrs, np.array([[200, 400, 800]]), n, 0.5)
    assert found.value == pytest.approx(12.5) and 11 < found.low < 12.5 < found.high < 14
    assert np.isnan(statistics.snr_at(snrs, np.array([[200, 400, 600]]), n, 0.9)).all()
    assert statistics.snr_at(snrs, np.array([[600, 700, 800]]), n, 0.5).value == 0


def test_a_ratio_has_the_interval_of_its_logarithm():
    own = statistics.of_network(np.array([840]), np.array([1000]))
    other = statistics.of_network(np.array([600]), np.array([1000]))
    found = statistics.ratio(own, other)
    error = np.sqrt(1 / 840 + 1 / 600 - 2 / 1000)  # Katz et al. 1978
    expected = 1.4 * np.exp(1.96 * error * np.array([0, -1, 1]))
    assert list(found) == pytest.approx(expected, rel=2e-3)


def test_calibration_is_the_gap_between_confidence_and_accuracy():
    right, wrong = np.zeros((2, 20), int)
    right[19], wrong[19] = 975, 25  # as sure as it is right
    assert statistics.calibration_error(right, wrong) == pytest.approx(0)
    right[10], wrong[10] = 0, 1000  # half sure, and always wrong
    assert statistics.calibration_error(right, wrong) == pytest.approx(0.525 / 2)
