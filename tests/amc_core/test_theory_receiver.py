"""Noise, receiver offsets and their distributions against known laws, end to end; `theory` tells the tolerances."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats

from amc_core import CHANNELS, Channel, Scenario, Simulator, simulate
from amc_core.identity import address_key
from amc_core.scenario import AUGMOD, AUGMOD_OFFSETS, Distribution
from amc_core.stages import Draws
from tests.amc_core.theory import (
    ALL,
    ANALOGUE,
    CPM,
    IMPAIRED,
    LATE,
    OTHERS,
    around,
    closed_form,
    error_db,
    power_spectrum,
    run,
    with_the_draws_of,
)

# --- Noise -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scenario", "names"),
    [(Scenario(channel, 4), OTHERS) for channel in CHANNELS]
    + [(Scenario(channel, 3.2, sample_rate=2e6), ALL) for channel in ("rayleigh", "rayleigh_2")]
    + [(Scenario(Channel((0, 2e-6), (0, -3), max_doppler=500, k_factor=2), 10.67), ALL), (IMPAIRED, ALL)],
    ids=[*CHANNELS, "rayleigh_2MHz", "rayleigh_2_2MHz", "user_defined", "augmod_with_offsets"],
)
def test_measured_snr_is_the_asked_one_for_every_modulation_and_channel(scenario, names):
    """128 instances of 1024 samples: 0.1 dB is five standard errors at 0 dB, and more above.

    The noise is measured to 1/√(128·1024) = 0.28 %, the gain's square to 2/√(2·128·1024) = 0.39 %: 0.021 dB in all.
    """
    asked = (0.0, 18.0)
    simulator = Simulator(scenario, names, [*asked, math.inf])
    simulator.keys = simulator.keys[:, :1].expand(-1, 3, 2).contiguous()
    index = torch.arange(128)
    for place, name in enumerate(names):
        clean = run(simulator, index, place, snr=2)
        for snr, snr_db in enumerate(asked):
            noisy = run(simulator, index, place, snr)
            gain = (clean.conj() * noisy).mean(1)
            residual = noisy - gain[:, None] * clean
            # The projection takes one of 1024 dimensions of the noise with it, and adds it to the signal.
            noise = (np.abs(residual) ** 2).sum(1) / 1023
            measured = (np.abs(gain) ** 2 - noise / 1024).mean() / noise.mean()
            assert 10 * math.log10(measured) == pytest.approx(snr_db, abs=0.1), name


def test_noise_is_white_over_the_sampled_band():
    """The residual's mean periodogram over 512 instances, in 64 bands: each within five standard errors of flat."""
    simulator = Simulator(Scenario(), ["QPSK"], [0.0, math.inf])
    simulator.keys[:, 1] = simulator.keys[:, 0]
    noisy, clean = (run(simulator, torch.arange(512), snr=snr) for snr in (0, 1))
    noise = noisy - (clean.conj() * noisy).mean(1, keepdims=True) * clean
    bands = (np.abs(np.fft.fft(noise)) ** 2).mean(0).reshape(64, 16).mean(1)
    assert np.abs(bands / bands.mean() - 1).max() < 5 / math.sqrt(512 * 16)


# --- Receiver offsets --------------------------------------------------------------------------------------------


ROTATIONS = [
    ({"phase_offset": -20.0}, 0.0, -20.0),
    ({"carrier_offset": 12_345.0}, 12_345 / 200e3, 0.0),
    ({"carrier_offset": -70e3}, -0.35, 0.0),
    ({"relative_carrier_offset": 0.123}, 0.123, 0.0),
    ({"relative_carrier_offset": -0.2, "carrier_offset": 1e3, "phase_offset": 0.5}, -0.195, 0.5),
    ({"relative_carrier_offset": {"uniform": (0.123, 0.123 + 1e-9)}}, 0.123, 0.0),
]


@pytest.mark.parametrize(
    ("name", "offsets", "cycles", "phase"),
    [(name, {"phase_offset": 1.0}, 0.0, 1.0) for name in ALL]
    + [(name, *rotation) for name in ("16QAM", "GMSK", "SSB-AM") for rotation in ROTATIONS],
)
def test_carrier_and_phase_offsets_multiply_by_exactly_their_rotation(name, offsets, cycles, phase):
    """r·exp(j(φ + 2πΔf n/f_s)): a positive offset moves the spectrum up."""
    still = Simulator(Scenario(), [name], [math.inf], 512)
    moved = with_the_draws_of(still, Simulator(Scenario(**offsets), [name], [math.inf], 512))
    index = torch.arange(4)
    expected = run(still, index) * np.exp(1j * (phase + 2 * np.pi * cycles * np.arange(512)))
    assert np.abs(run(moved, index) - expected).max() < 2e-5


@pytest.mark.parametrize(("field", "offset"), [("carrier_offset", 30e3), ("relative_carrier_offset", -0.2)])
def test_the_spectrum_s_peak_and_centroid_move_by_the_offset(field, offset):
    sample_rate = 200e3
    scenario = Scenario(**{field: offset}, sample_rate=sample_rate)
    hz = offset if field == "carrier_offset" else offset * sample_rate
    f, power = power_spectrum(simulate(scenario, "AM-DSB-WC", math.inf, range(8), 8000).numpy(), sample_rate)
    assert f[power.argmax()] == pytest.approx(hz, abs=1e-6)  # a multiple of a bin of 25 Hz
    f, power = power_spectrum(simulate(scenario, "QPSK", math.inf, range(256), 1000).numpy(), sample_rate)
    centroid = (f * power).sum() / power.sum()  # the band's 25 kHz over √12, by 30,000 symbols: 42 Hz
    assert centroid == pytest.approx(hz, abs=5 * 42)


def test_a_carrier_offset_in_hz_counts_in_samples_of_the_receiver_s_own_rate():
    scenario = Scenario(carrier_offset=44e3, sample_rate_offset=1e5)
    f, power = power_spectrum(simulate(scenario, "AM-DSB-WC", math.inf, [0], 8000).numpy(), 1.0)
    assert f[power.argmax()] == pytest.approx(44e3 / 220e3)


@LATE
@pytest.mark.parametrize("name", ["16QAM", "OQPSK", *CPM])
@pytest.mark.parametrize("symbols_late", [0.25, 1.0, 2.5, -0.75])
def test_a_timing_offset_of_whole_samples_delays_by_those_samples(name, symbols_late, varied):
    """8 samples a symbol. A train may number its symbols from another one on, which moves the signal by as many."""
    index = torch.arange(8)
    prompt = Simulator(Scenario(), [name], [math.inf])
    offset = around(symbols_late) if varied else symbols_late
    late = with_the_draws_of(prompt, Simulator(Scenario(timing_offset=offset), [name], [math.inf]))
    samples = round(8 * symbols_late) + 8 * (late.families[0].train.first - prompt.families[0].train.first)
    a, b = run(prompt, index), run(late, index)
    a, b = (a[:, :-samples], b[:, samples:]) if samples > 0 else (a[:, -samples:], b[:, : 1024 + samples])
    if name in CPM:  # the phase of the first symbol that is numbered is 0, and the older ones may not be the same
        a, b = (x * x[:, :1].conj() for x in (a, b))
    assert error_db(b, a) < -60


@LATE
@pytest.mark.parametrize("name", ANALOGUE)
@pytest.mark.parametrize("samples", [1, 6, -3])
def test_a_timing_offset_of_whole_samples_delays_analogue_modulations_too(name, samples, varied):
    """s(t − τ) of P1 eq. 2: what is delayed is the whole signal, its intermediate frequency included."""
    index = torch.arange(8)
    prompt = Simulator(Scenario(), [name], [math.inf])
    offset = around(samples / 8) if varied else samples / 8
    late = with_the_draws_of(prompt, Simulator(Scenario(timing_offset=offset), [name], [math.inf]))
    a, b = run(prompt, index), run(late, index)
    a, b = (a[:, :-samples], b[:, samples:]) if samples > 0 else (a[:, -samples:], b[:, : 1024 + samples])
    assert error_db(b, a) < -50


@pytest.mark.parametrize("ppm", [1e5, 100.0, -25_000.0, {"uniform": (1e5 - 1e-3, 1e5)}], ids=str)
@pytest.mark.parametrize("name", ["QPSK", "OQPSK", *CPM])
def test_a_sample_rate_offset_stretches_time(name, ppm):
    """A receiver that samples 1 + ppm·10⁻⁶ as fast takes sample n at t = n/(f_s(1 + ppm·10⁻⁶))."""
    simulator = Simulator(Scenario(upsampling=6.4, sample_rate_offset=ppm), [name], [math.inf])
    index = torch.arange(4)
    assert error_db(run(simulator, index), closed_form(simulator, name, index)) < -60


@pytest.mark.parametrize("ppm", [1e5, {"uniform": (1e5 - 1e-3, 1e5)}], ids=str)
@pytest.mark.parametrize("name", ANALOGUE)
def test_a_sample_rate_offset_stretches_analogue_modulations_too(name, ppm):
    """11 samples at a rate 10 % up are 10 at the nominal one, the intermediate frequency's phase included."""
    nominal = Simulator(Scenario(), [name], [math.inf], 1000)
    fast = with_the_draws_of(nominal, Simulator(Scenario(sample_rate_offset=ppm), [name], [math.inf], 1100))
    message = with_the_draws_of(nominal, Simulator(Scenario(), ["AM-DSB-SC"], [math.inf], 1000))
    index = torch.arange(16)
    index = index[np.abs(run(message, index)[:, 0]) > 1e-6]  # pauses end at a time that depends on the length
    assert error_db(run(fast, index)[:, ::11], run(nominal, index)[:, ::10]) < -50


@pytest.mark.parametrize("timing_offset", [1.0, 3.0, -3.0, 7.0])
def test_a_fixed_timing_offset_beside_a_distribution_of_samples_per_symbol_is_simulated(timing_offset):
    scenario = Scenario(upsampling=Distribution("uniform", 2, 4), timing_offset=timing_offset)
    simulator = Simulator(scenario, ["QPSK"], [math.inf], 64)
    index = torch.arange(64)
    assert error_db(run(simulator, index), closed_form(simulator, "QPSK", index)) < -60


# --- Distributions -----------------------------------------------------------------------------------------------

LAWS: list[tuple[str, float, float, Callable]] = [
    ("uniform", 2.0, 3.0, lambda x: x - 2),
    ("log_uniform", 1.5, 6.0, lambda x: np.log(x / 1.5) / np.log(4)),
    ("reciprocal_uniform", 2.0, 8.0, lambda x: (1 / 2 - 1 / x) / (1 / 2 - 1 / 8)),
]


def draws_of(scenario: Scenario, count: int = 20_000) -> Draws:
    return Draws(scenario, torch.tensor([address_key("theory")]).expand(count, 2), torch.arange(count))


@pytest.mark.parametrize(("kind", "low", "high", "law"), LAWS, ids=[law[0] for law in LAWS])
@pytest.mark.parametrize("field", ["upsampling", "timing_offset", "carrier_offset", "sample_rate_offset"])
def test_draws_follow_the_law_of_their_distribution(kind, low, high, law, field):
    """Kolmogorov–Smirnov, 20,000 draws; 12 tests at a level of 0.1 %."""
    values = draws_of(Scenario(**{field: {kind: [low, high]}}))[field]
    assert low <= values.min() and values.max() <= high
    assert stats.kstest(values, law).pvalue > 0.001


def test_signed_draws_have_either_sign_as_often_and_a_uniform_logarithm_on_both():
    values = draws_of(Scenario(relative_carrier_offset={"signed_log_uniform": [1e-6, 0.5]}))["relative_carrier_offset"]
    assert stats.binomtest(int((values > 0).sum()), len(values)).pvalue > 0.001
    for half in (values[values > 0], -values[values < 0]):
        assert stats.kstest(np.log(half), "uniform", (math.log(1e-6), math.log(0.5 / 1e-6))).pvalue > 0.001


def test_augmod_draws_the_parameters_of_its_paper_independently():
    """P2 Table I; correlations within four standard errors."""
    draws = draws_of(AUGMOD_OFFSETS)
    ranks = {
        "upsampling": (1 / draws["upsampling"] - 0.3) / 0.2,  # sample over symbol period
        "rolloff": (draws["rolloff"] - 0.1) / 0.4,
        "timing_offset": draws["timing_offset"],
        "phase_offset": draws["phase_offset"] / (2 * math.pi),
        "relative_carrier_offset": np.log(np.abs(draws["relative_carrier_offset"]) / 1e-6) / math.log(0.5 / 1e-6),
    }
    for name, rank in ranks.items():
        assert stats.kstest(rank, "uniform").pvalue > 0.001, name
    columns = [*ranks.values(), draws["relative_carrier_offset"] > 0]
    correlation = np.corrcoef(np.array(columns, dtype=float)) - np.eye(6)
    assert np.abs(correlation).max() < 4 / math.sqrt(20_000)
    without = draws_of(AUGMOD)
    assert not without["relative_carrier_offset"].any()
    assert all(np.array_equal(without[name], draws[name]) for name in ranks if name != "relative_carrier_offset")
