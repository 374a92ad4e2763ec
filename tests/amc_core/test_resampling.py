"""Blind resampling: estimates against known symbol rates, and what becomes of a signal against closed forms."""

import numpy as np
import pytest
import torch

from amc_core import AmcError, Scenario, simulate
from amc_core.coverage import why_unknown
from amc_core.models.likelihood import known
from amc_core.resampling import BlindResampling, occupied_band, resampled, symbol_rates
from amc_core.run import Dataset, Run
from amc_core.simulator import Simulator
from tests.amc_core.test_theory_impairments import through

LATE = {"timing_offset": {"uniform": [0, 1]}, "phase_offset": {"uniform": [0, 6.283185307179586]}}


def received(modulation: str, snr_db: float, count: int = 40, length: int = 1024, **fields) -> np.ndarray:
    scenario = Scenario(**LATE | fields)
    return simulate(scenario, modulation, snr_db, range(count), length).numpy().astype(complex)


@pytest.mark.parametrize(("ratio", "snr_db"), [(1.5, 12), (2, 9), (3.2, 12), (4, 12), (8, 18)])
@pytest.mark.parametrize("modulation", ["BPSK", "64QAM", "128APSK"])
def test_the_line_gives_the_symbol_rate_to_a_fraction_of_a_symbol_in_an_instance(modulation, ratio, snr_db):
    estimates = symbol_rates(received(modulation, snr_db, upsampling=ratio))
    drift = np.abs(estimates - 1 / ratio) * 1024  # symbols, from the first sample to the last
    assert (drift <= 0.5).mean() >= 0.9


@pytest.mark.parametrize("ratio", [1.5, 2, 4, 8, 16, 32])
def test_with_a_line_or_without_the_rate_is_right_to_a_quarter_from_0_db(ratio):
    estimates = np.concatenate(
        [symbol_rates(received(name, snr_db, upsampling=ratio)) for name in ("QPSK", "16QAM") for snr_db in (0, 6, 18)]
    )
    assert (np.abs(estimates * ratio - 1) <= 0.25).mean() >= 0.95


@pytest.mark.parametrize("modulation", ["OQPSK", "B-FM"])
def test_without_a_line_the_rate_is_that_of_the_occupied_band(modulation):
    x = received(modulation, 12, count=100)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(1024) + 0.5) / 1024)
    band = occupied_band(np.abs(np.fft.fftshift(np.fft.fft(x * window, axis=1), axes=1)) ** 2)
    same = np.isclose(symbol_rates(x), band / 1.05)
    assert same.mean() >= 0.9
    if modulation == "OQPSK":  # linear, at 8 samples per symbol and a roll-off of 0.35
        assert ((band > 1 / 8) & (band < 1.35 / 8)).all()


def test_noise_alone_has_no_rate_and_is_left_as_it_is():
    noise = received("BPSK", -60, count=200)
    left = symbol_rates(noise) == 0
    assert left.mean() > 0.85
    assert np.array_equal((through(BlindResampling, noise, resample_to=8) == noise).all(1), left)


def test_an_occupied_band_of_flat_power_is_found_to_its_edges():
    draw = np.random.default_rng(0)
    frequencies = np.arange(-512, 512) / 1024
    power = draw.exponential(np.where(np.abs(frequencies) <= 0.1, 4.0, 1.0), (200, 1024))
    assert np.abs(occupied_band(power) - 0.2).mean() < 0.01
    assert (occupied_band(draw.exponential(1.0, (500, 1024))) > 0).mean() < 0.05
    assert (occupied_band(power[:, ::-1] * 0 + np.where(np.abs(frequencies) <= 0.1, 1.0, 4.0)) == 0).all()


@pytest.mark.parametrize("length", [1024, 1000, 777])
@pytest.mark.parametrize("rate", [0.5, 0.21, 1 / 32])
def test_a_tone_within_the_band_keeps_its_cycles_per_symbol_and_one_beyond_is_gone(rate, length):
    cycle = max(1, int(0.4 * rate * length))
    tone = np.exp(2j * np.pi * cycle * np.arange(length) / length)
    expected = np.exp(2j * np.pi * cycle / length / rate * np.arange(length) / 8)
    assert np.abs(resampled(tone, rate, 8) - expected).max() < 3e-3
    beyond = int(1.1 * rate * length)
    if beyond < length // 2:
        assert np.abs(resampled(np.exp(2j * np.pi * beyond * np.arange(length) / length), rate, 8)).max() < 1e-9


@pytest.mark.parametrize("ratio", [2, 4, 16])
def test_what_is_resampled_to_8_has_the_band_of_what_was_sent_at_8(ratio):
    at_8, from_other = (
        np.abs(np.fft.fft(received("16QAM", 15, upsampling=sent, resample_to=8), axis=1)) ** 2 for sent in (8, ratio)
    )
    within = np.abs(np.fft.fftfreq(1024)) <= 1.2 / 16
    shares = [part[:, within].sum() / part.sum() for part in (at_8, from_other)]
    assert shares[0] == pytest.approx(shares[1], abs=0.03) and shares[1] > 0.9


def test_instances_do_not_depend_on_the_batch_that_they_are_in():
    simulator = Simulator(Scenario(upsampling=5, resample_to=8, **LATE), ["QPSK", "B-FM"], [0, 12])
    modulation, snr = torch.arange(64) % 2, torch.arange(64) // 2 % 2
    whole = simulator(modulation, snr, torch.arange(64))
    parts = [simulator(modulation[a:b], snr[a:b], torch.arange(a, b)) for a, b in ((0, 1), (1, 20), (20, 64))]
    assert torch.equal(whole, torch.cat(parts))
    assert torch.allclose(whole.square().sum(1).mean(1), torch.ones(64), atol=1e-5)


def test_resampling_leaves_the_upper_bound_and_is_more_than_the_likelihood_classifier_knows():
    scenario = Scenario(resample_to=8)
    assert why_unknown(scenario, ("BPSK", "QPSK"), 1024) is None
    with pytest.raises(AmcError, match="it cannot be used with resample_to 8"):
        Run("likelihood", Dataset(scenario, ("BPSK", "QPSK"), (0.0,), 10))
    assert known(Simulator(scenario, ["BPSK"], [0]), *(torch.zeros(1, dtype=torch.int64) for _ in range(3)))


def test_bad_values_are_refused_in_a_sentence():
    with pytest.raises(AmcError, match=r"resample_to 1\.5 is not allowed: .* from 2 to 64, or null"):
        Scenario(resample_to=1.5)
    with pytest.raises(AmcError, match="length 32 is too short for resample_to: at least 64 samples"):
        Dataset(Scenario(resample_to=8), ("BPSK", "QPSK"), (0.0,), 10, length=32)
    assert simulate(Scenario(resample_to=8), "B-FM", 10, range(3), length=64).isfinite().all()
