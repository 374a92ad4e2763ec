import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from amc_core import MODULATION_SETS, Channel, Scenario, Simulator
from amc_core.coverage import is_linear, why_unknown
from amc_core.errors import AmcError
from amc_core.evaluation import evaluate
from amc_core.instances import Instances
from amc_core.limits import _receive, upper_bound
from amc_core.models.likelihood import Known, LikelihoodClassifier, _solve, known
from amc_core.modulations import MODULATIONS
from amc_core.recognition import recognition
from amc_core.run import Dataset, Run
from amc_core.scenario import AUGMOD_OFFSETS, Distribution, Mixture
from amc_core.training import new_model, train
from tests.amc_core.theory import around

LINEAR = tuple(name for name in MODULATION_SETS["complex"] if is_linear(name))  # 14 of P1's 20
FEW = ("QPSK", "8PSK", "16QAM", "64QAM")


def zero_forcing_db(snr_db: float, per_symbol: float, rolloff: float = 0.35) -> float:
    """Mean Es/N0 after zero forcing: γ = L·SNR / ((1 − α/4)(1 + α(√2 − 1)))."""
    return snr_db + 10 * math.log10(per_symbol / ((1 - rolloff / 4) * (1 + rolloff * (math.sqrt(2) - 1))))


def achieved(scenario: Scenario, modulations: tuple[str, ...], snr_db: float, count: int, length: int = 1024) -> float:
    """Accuracy of the likelihood classifier on `count` simulated instances of each modulation."""
    simulator = Simulator(scenario, modulations, [snr_db], length)
    sent = torch.arange(len(modulations)).repeat_interleave(count)
    address = sent, torch.zeros_like(sent), torch.arange(count).repeat(len(modulations))
    scores = LikelihoodClassifier(len(modulations))(simulator(*address), known(simulator, *address), modulations)
    return (scores.argmax(1) == sent).double().mean().item()


# The likelihood of independent symbols


@pytest.mark.parametrize(
    ("modulations", "es_n0_db", "exact"),
    [
        (("BPSK", "QPSK"), 0, 0.6227),
        (("QPSK", "16QAM"), 10, 0.7456),
        (("16QAM", "64QAM"), 20, 0.8885),
        (("8PSK", "16APSK"), 12, 0.7214),
        (("64QAM", "256QAM"), 24, 0.8098),
    ],
)
def test_one_symbol_tells_two_modulations_apart_as_often_as_an_integral_says(modulations, es_n0_db, exact):
    estimate = recognition(modulations, 1, es_n0_db, standard_error=0.002)
    assert estimate.standard_error <= 0.002
    assert estimate.accuracy == pytest.approx(exact, abs=4 * estimate.standard_error)
    assert estimate.hit_rate == pytest.approx(exact, abs=4 * estimate.hit_rate_error)
    assert estimate.standard_error < estimate.hit_rate_error


def test_two_modulations_are_told_apart_by_a_coin_in_noise_and_surely_without():
    assert recognition(("BPSK", "QPSK"), 100, -60).accuracy == pytest.approx(0.5, abs=0.01)
    assert recognition(("BPSK", "QPSK"), 100, 100).accuracy == pytest.approx(1)
    assert recognition(("QPSK", "8PSK"), 1, 100).accuracy == pytest.approx(0.75, abs=0.01)  # half of 8PSK is QPSK's


@pytest.mark.parametrize(
    ("es_n0_db", "expected"),
    [
        *((3.43, 0.442), (5.43, 0.537), (7.43, 0.632), (9.43, 0.742)),
        *((11.43, 0.844), (13.43, 0.925), (15.43, 0.967), (17.43, 0.996)),
    ],
)
def test_132_symbols_tell_fourteen_modulations_apart_as_published(es_n0_db, expected):
    assert recognition(LINEAR, 132, es_n0_db, standard_error=0.006).accuracy == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize("phase_known", [True, False])
def test_symbols_after_one_modulation_is_certain_change_nothing(phase_known, monkeypatch):
    drawn = recognition(FEW, 100, 10, 0.02, phase_known=phase_known)
    monkeypatch.setattr("amc_core.recognition._CERTAIN", -1)  # so that every symbol counts
    every = recognition(FEW, 100, 10, 0.02, phase_known=phase_known)
    assert 0.7 < drawn.accuracy == pytest.approx(every.accuracy, abs=1e-7)
    assert (drawn.hit_rate, drawn.instances) == (every.hit_rate, every.instances)


def test_as_many_instances_are_drawn_as_the_error_asks_for():
    coarse, fine = (recognition(LINEAR, 40, 3, error) for error in (0.02, 0.005))
    assert coarse.instances == 14 * 19  # the first look
    assert 0.0045 < fine.standard_error <= 0.005


def test_no_likelihood_is_known_of_other_modulations():
    with pytest.raises(AmcError, match=r"likelihood classifies linear modulations only, not OQPSK, GFSK"):
        recognition(("QPSK", "OQPSK", "GFSK"), 10, 0)


# The upper bound


@pytest.mark.parametrize(
    ("upsampling", "snr_db", "expected"), [(32, -6, 0.573), (32, 0, 0.896), (4, -4, 0.454), (2, 0, 0.587)]
)
def test_the_bound_on_fourteen_modulations_is_that_of_an_independent_computation(upsampling, snr_db, expected):
    bound = upper_bound(Scenario(upsampling=upsampling), LINEAR, [snr_db], 1024, standard_error=0.01)
    assert bound.accuracy == pytest.approx(expected, abs=0.025)
    assert bound.standard_error <= 0.01


def test_modulations_that_are_not_linear_count_as_always_recognised():
    six = ("BPSK", "QPSK", "8PSK", "16QAM", "64QAM", "PAM4")
    linear = upper_bound(Scenario(), six, [-10], 512, standard_error=0.011)
    bound = upper_bound(Scenario(), "simple", [-10], 512, standard_error=0.006)
    assert bound.recognised == ("GFSK", "CPFSK", "B-FM", "DSB-AM", "SSB-AM")
    assert bound.accuracy == pytest.approx((5 + 6 * linear.accuracy) / 11, abs=1e-9)
    assert bound.hit_rate == pytest.approx((5 + 6 * linear.hit_rate) / 11, abs=1e-9)
    assert bound.standard_error == pytest.approx(6 / 11 * linear.standard_error)


@pytest.mark.parametrize(
    ("scenario", "gain"),
    [
        (Scenario(pulse="root_raised_cosine"), 8),
        (Scenario(rolloff=0.35), 8 / (1 - 0.35 / 4)),
        (Scenario(rolloff=0.8), 8 / (1 - 0.8 / 4)),
        (Scenario(upsampling="32/5", timing_offset=0.3, phase_offset=1, carrier_offset=200), 6.4 / (1 - 0.35 / 4)),
        # Flat fading that stands still changes the power alone, to which the SNR is relative.
        (Scenario(channel=Channel((0,), (0,), name="flat")), 8 / (1 - 0.35 / 4)),
    ],
)
def test_the_bound_is_that_of_symbols_at_the_largest_value_of_the_spectrum(scenario, gain):
    symbols = math.ceil(512 / float(scenario.samples_per_symbol)) + 4
    bound = upper_bound(scenario, FEW, [-3], 512)
    expected = recognition(FEW, symbols, -3 + 10 * math.log10(gain))
    error = math.hypot(bound.standard_error[0], expected.standard_error)
    assert bound.accuracy == pytest.approx(expected.accuracy, abs=4 * error)


def test_what_happens_after_the_noise_and_a_known_phase_leave_the_bound_as_it_is():
    impaired = Scenario(
        phase_noise_linewidth=100, iq_gain_imbalance_db=1, iq_phase_imbalance={"uniform": [0, 0.1]}, dc_offset_i=0.1,
        dc_offset_q=0.1, clipping_level=2, quantiser_bits=4, normalisation="energy",
    )  # fmt: skip
    assert upper_bound(impaired, FEW, [-3], 256).by_snr == upper_bound(Scenario(), FEW, [-3], 256).by_snr


def test_where_snr_is_the_average_over_fading_the_bound_is_the_mean_over_the_power_that_is_received():
    """|h|² ~ Exp(1) of a flat Rayleigh path; the mean is by the midpoints of 20 equal shares of it."""
    flat = {"path_delays": [0], "path_gains_db": [0], "name": "flat"}
    bound = upper_bound(Scenario(flat, snr_reference="average"), FEW, [0], 256)
    received = -np.log1p(-(np.arange(20) + 0.5) / 20)
    levels = 10 * np.log10(received * 8 / (1 - 0.35 / 4))
    expected = np.mean([recognition(FEW, 36, level, 0.01).accuracy for level in levels])
    assert bound.accuracy == pytest.approx(expected, abs=0.015)
    own = upper_bound(Scenario(flat), FEW, [0], 256).accuracy
    assert own > bound.accuracy + 0.03
    awgn = upper_bound(Scenario(snr_reference="average"), FEW, [0], 256)
    assert awgn.accuracy == pytest.approx(own, abs=0.02)


def test_the_bound_rises_with_snr_samples_per_symbol_inverse_and_length():
    by_snr = upper_bound(Scenario(), FEW, range(-12, 13, 3), 512).accuracy
    assert (np.diff(by_snr) > -0.01).all() and by_snr[0] < 0.6 and by_snr[-1] > 0.99
    assert (np.diff([upper_bound(Scenario(), FEW, [-6], n).accuracy[0] for n in (64, 256, 1024)]) > 0.02).all()
    assert (np.diff([upper_bound(Scenario(upsampling=L), FEW, [-6], 512).accuracy[0] for L in (2, 8, 32)]) > 0).all()


def test_a_channel_with_echoes_has_a_higher_bound_than_noise_alone():
    # Its spectrum's largest value is further above its mean.
    plain, echoes = (upper_bound(Scenario(channel=c), FEW, [-8], 512).accuracy for c in ("awgn", "rayleigh"))
    assert echoes > plain + 0.02


def test_the_bound_of_a_distribution_or_a_mixture_is_the_mean_of_bounds():
    low, high = (upper_bound(Scenario(upsampling=L), FEW, [-6], 256).accuracy[0] for L in (2, 32))
    mixture = Mixture((Scenario(upsampling=2), Scenario(upsampling=32)), (1, 3))
    assert upper_bound(mixture, FEW, [-6], 256).accuracy[0] == pytest.approx((low + 3 * high) / 4)
    narrow = upper_bound(Scenario(upsampling=around(2.0)), FEW, [-6], 256)
    assert narrow.accuracy[0] == pytest.approx(low, abs=0.02)
    wide = upper_bound(Scenario(upsampling=Distribution("log_uniform", 2, 32)), FEW, [-6], 256)
    assert low + 0.02 < wide.accuracy[0] < high - 0.02


def test_the_received_power_of_a_constellation_with_a_mean_is_larger():
    # Half of OOK's power is its mean, a constant, of which the sum of the pulses passes all; of the rest, 1 − α/4.
    keys, index = torch.zeros(1, 2, dtype=torch.int64), torch.zeros(1, dtype=torch.int64)
    received = _receive(Scenario(rolloff=0.8), 256, np.array([0, math.sqrt(0.5)]), keys, index)
    assert received.scale[0] == pytest.approx([1, math.sqrt(0.8 / (0.5 + 0.5 * 0.8))])
    assert received.gain[0] == pytest.approx([8 / 0.8])
    assert received.symbols.tolist() == [36]


def test_a_bound_does_not_depend_on_other_snrs_order_or_the_global_generators():
    alone = upper_bound(Scenario(), FEW, [0], 128, known={})
    torch.manual_seed(7)
    np.random.seed(7)  # noqa: NPY002
    beside = upper_bound(Scenario(), FEW[::-1], [-5, 0], 128, known={})
    assert beside.by_snr[1] == alone.by_snr[0]


def test_a_bound_is_computed_once():
    kept = {}
    first = upper_bound(Scenario(), FEW, [0], 128, known=kept)
    [address] = kept
    kept[address] = first.by_snr[0].among(1, 1)
    assert upper_bound(Scenario(channel="awgn"), FEW, [0.0], 128, known=kept).by_snr[0] == kept[address]


@pytest.mark.parametrize(
    ("scenario", "modulations", "sentence"),
    [
        (Scenario(recording="field.sigmf-meta"), FEW, "for recording 'field.sigmf-meta', whose setting is unknown"),
        (Scenario(upsampling=1.2), FEW, r"for 1.2 samples per symbol: roll-off 0.35 needs 1.35, or the signal aliases"),
        (Scenario(channel={"path_delays": [0], "path_gains_db": [0], "max_doppler": 1000}), FEW, "turns 5.1 times"),
        (Scenario({"like": "rician", "direct_doppler": -1000}), FEW, "turns 5.1 times"),
        (Scenario({"like": "rayleigh", "realisations": 3}), FEW, "3 realisations of fading, which depend on the seed"),
        (Scenario(amplifier_backoff_db=3, dc_offset_i=1), FEW, "with amplifier_backoff_db 3.0"),
        (Scenario(impulsive_index=0.1, impulsive_ratio=0.1), FEW, "with impulsive_index 0.1"),
        (
            Scenario("rayleigh", snr_reference="average"),
            ("QPSK", "OOK", "4ASK"),
            "with snr_reference 'average' for OOK, 4ASK: the power of an instance gives its modulation away",
        ),
        (Scenario(normalisation="none"), ("QPSK", "OOK"), "with normalisation 'none' for OOK: the power of an instan"),
        (Scenario(), ("QPSK", "GFSK", "OQPSK"), "without two linear modulations: all others count as always recognis"),
    ],
)
def test_no_bound_is_known_of_some_datasets_and_a_sentence_says_why(scenario, modulations, sentence):
    assert why_unknown(Scenario(), FEW, 1024) is None
    assert why_unknown(scenario, modulations, 1024).startswith("no upper bound is known ")
    with pytest.raises(AmcError, match=sentence):
        upper_bound(scenario, modulations, [0], 1024)


@pytest.mark.parametrize("standard_error", [0, 0.5, float("nan")])
def test_a_standard_error_is_one_that_can_be_reached(standard_error):
    with pytest.raises(AmcError, match=r"standard_error .* is not allowed"):
        upper_bound(Scenario(), FEW, [0], 128, standard_error=standard_error)


# The classifier that reaches almost as much


@pytest.mark.parametrize(("upsampling", "snr_db"), [(8, -2), (4, 2)])
def test_zero_forcing_reaches_on_simulated_instances_what_theory_says(upsampling, snr_db):
    count = 15
    accuracy = achieved(Scenario(upsampling=upsampling), LINEAR, snr_db, count)
    expected = recognition(LINEAR, 1024 // upsampling, zero_forcing_db(snr_db, upsampling), 0.01).accuracy
    spread = math.sqrt(expected * (1 - expected) / (count * len(LINEAR)))
    assert accuracy == pytest.approx(expected, abs=3 * spread)
    bound = upper_bound(Scenario(upsampling=upsampling), LINEAR, [snr_db], 1024, standard_error=0.01)
    assert accuracy <= bound.accuracy + 3 * spread


def test_estimates_of_symbols_have_the_noise_of_zero_forcing():
    gamma = _solve(Known("raised_cosine", 0.35, (0.0,), 1 / 8, 0.0, 0.0, 10.0, None), 1024).gamma
    assert len(gamma) == 128
    assert 10 * math.log10(gamma[20:-20].mean()) == pytest.approx(zero_forcing_db(10, 8), abs=0.05)
    assert gamma[0] < gamma[64]  # half of the first symbol's pulse lies before the instance


def test_offsets_that_are_known_cost_nothing():
    modulations = MODULATION_SETS["augmod"]
    assert achieved(AUGMOD_OFFSETS, modulations, 30, 3, length=512) == 1
    turned = Scenario(timing_offset=0.4, phase_offset=2, relative_carrier_offset=0.01, sample_rate_offset=40)
    assert achieved(turned, modulations, 10, 20) == 1


def test_a_channel_that_is_known_is_undone():
    assert achieved(Scenario(channel="rayleigh"), FEW, 10, 10, length=512) >= 0.95


def test_constellations_with_a_mean_are_recognised():
    # An instance's own power, to which noise is scaled, varies the most where points have different powers.
    assert achieved(Scenario(), ("OOK", "4ASK", "8ASK", "PAM4", "BPSK"), 12, 10) == 1


def test_few_symbols_without_noise_are_recognised_whatever_power_they_happen_to_have():
    assert achieved(Scenario(upsampling=32), ("16QAM", "32QAM", "64QAM"), 25, 10, length=512) == 1


def test_the_classifier_says_what_it_needs():
    x = torch.zeros(1, 2, 64)
    with pytest.raises(AmcError, match="needs the setting of every instance and the modulations' names"):
        LikelihoodClassifier(2)(x)


def test_a_run_of_it_is_trained_on_nothing_and_evaluated_in_every_setting():
    dataset = Dataset(Scenario(), FEW, (0, 12), 20, 256)
    run = Run("likelihood", dataset)
    [state] = train(run)
    assert run.work() == 0 and state["kept"] == {} and math.isnan(state["epochs"][0]["train_accuracy"])
    echoes = Scenario(channel="rician", upsampling=4)
    for scenario in (echoes, Mixture((Scenario(), echoes), (1, 1))):
        test = Instances(replace(dataset, scenario=scenario), "test")
        result = evaluate(new_model(run), test)
        assert result.confusion.sum((1, 2)).tolist() == [8, 8]
        assert result.confusion[1].diagonal().sum() >= 7


@pytest.mark.parametrize(
    ("scenario", "modulations", "sentence"),
    [
        (Scenario(), ("QPSK", "GFSK", "B-FM"), "likelihood classifies linear modulations only, not GFSK, B-FM"),
        (
            Scenario(recording="field.sigmf-meta"),
            FEW,
            "needs to know the setting, so it cannot be used for recording",
        ),
    ],
)
def test_what_it_cannot_classify_is_refused_when_a_run_is_described(scenario, modulations, sentence):
    with pytest.raises(AmcError, match=sentence):
        Run("likelihood", Dataset(scenario, modulations, (0,), 10, 64))


@pytest.mark.parametrize("pair", [("BPSK", "QPSK"), ("QPSK", "8PSK")])
def test_of_one_symbol_of_unknown_phase_nothing_but_its_size_can_be_told(pair):
    assert recognition(pair, 1, 10, 0.01, phase_known=False).accuracy == pytest.approx(0.5, abs=1e-6)
    known = recognition(("QPSK", "16QAM"), 1, 10, 0.002).accuracy
    unknown = recognition(("QPSK", "16QAM"), 1, 10, 0.002, phase_known=False).accuracy
    assert 0.5 < unknown < known


def test_with_an_unknown_phase_three_symbols_are_told_apart_as_often_as_a_sum_over_all_sequences_says():
    draw, gamma, phases = np.random.default_rng(0), 10**0.6, 2 * np.pi * np.arange(64) / 64
    sets = [MODULATIONS[name].points for name in ("BPSK", "QPSK")]
    right = []
    for sent in sets:
        noise = draw.normal(size=(4000, 3, 2)) @ [1, 1j] / math.sqrt(2 * gamma)
        z = draw.choice(sent, (4000, 3)) + noise
        turned = z[:, None, :, None] * np.exp(1j * phases)[:, None, None]
        per_set = [np.exp(-gamma * np.abs(turned - points) ** 2).mean(3).prod(2).mean(1) for points in sets]
        right.append(np.maximum(*per_set) / sum(per_set))
    expected = np.mean(right)
    estimate = recognition(("BPSK", "QPSK"), 3, 6, 0.003, phase_known=False)
    assert estimate.accuracy == pytest.approx(expected, abs=0.015)
    assert estimate.accuracy < recognition(("BPSK", "QPSK"), 3, 6, 0.003).accuracy
