"""Fading channels and independence against known laws, end to end; `theory` tells the tolerances."""

import math

import numpy as np
import pytest
import torch
from scipy.special import exp1, j0

from amc_core import CHANNELS, Channel, Scenario, Simulator, simulate
from amc_core.channels import Fading
from amc_core.constellations import CONSTELLATIONS
from amc_core.identity import address_key
from amc_core.pulses import raised_cosine
from tests.amc_core.theory import (
    ALL,
    IMPAIRED,
    error_db,
    power_spectrum,
    run,
    symbols,
    with_the_draws_of,
)

# --- Channels ----------------------------------------------------------------------------------------------------


def mean_log_power(power: float, k_factor: float) -> float:
    """E ln|h|² of a path of that power: Rayleigh ln P − γ; Rician ln(P K/(K + 1)) + E1(K)."""
    if k_factor == 0:
        return math.log(power) - np.euler_gamma
    return math.log(power * k_factor / (k_factor + 1)) + exp1(k_factor)


@pytest.mark.parametrize("sample_rate", [200e3, 2e6])
@pytest.mark.parametrize("channel", ["rayleigh", "rician", "rayleigh_2"])
def test_delayed_copies_fitted_to_the_output_have_the_path_gains_of_table_i(channel, sample_rate):
    """Least squares of closed-form copies at Table I's delays, and at two where no path is, over 2,000 instances.

    Gains move linearly within the instance. The scaling to unit power cancels in ratios of gains, whose mean
    logarithms are known; differences are within five standard errors (0.9 dB), and no path is as no path: −40 dB.
    """
    scenario = Scenario(channel, upsampling=2, rolloff=1.0, sample_rate=sample_rate)
    length, count = 128, 2000
    simulator = Simulator(scenario, ["QPSK"], [math.inf], length)
    described, index = CHANNELS[channel], torch.arange(count)
    received = run(simulator, index)
    delays = (*described.path_delays, 6e-6, 15e-6)
    k, labels = symbols(simulator, index)
    t = np.arange(length)[:, None] / 2 - k
    copies = [CONSTELLATIONS["QPSK"][labels] @ raised_cosine(t - delay * sample_rate / 2, 1.0).T for delay in delays]
    ramp = np.linspace(-1, 1, length)
    basis = np.stack([copy * x for x in (1, ramp) for copy in copies], 2)  # (instances, length, 2·copies)
    adjoint = basis.conj().transpose(0, 2, 1)
    gains = np.linalg.solve(adjoint @ basis, adjoint @ received[:, :, None])[:, :, 0]
    fitted = (basis @ gains[:, :, None])[:, :, 0]
    assert (np.abs(received - fitted) ** 2).mean() < 1e-6
    power = np.abs(gains[:, : len(delays)]) ** 2
    paths = len(described.path_delays)
    factors = [described.k_factor] + [0.0] * (paths - 1)
    expected = [
        mean_log_power(10 ** (gain / 10), factor) for gain, factor in zip(described.path_gains_db, factors, strict=True)
    ]
    logs = np.log(power[:, :paths])
    for path in range(1, paths):
        difference = logs[:, path] - logs[:, 0]
        standard_error = difference.std() / math.sqrt(count)
        assert standard_error < 0.042  # 0.18 dB
        assert difference.mean() == pytest.approx(expected[path] - expected[0], abs=5 * standard_error)
    assert np.median(power[:, paths:], axis=0).max() < 1e-4


def test_a_channel_of_the_user_s_own_fades_with_the_jakes_spectrum_and_its_own_k():
    """The received over the sent symbols at one sample a symbol is the gain. Two laws for f_D = 2 kHz, K = 0:

    its autocorrelation is J0(2πf_D τ), and the share of power below f is ½ + asin(f/f_D)/π. In 128 instances of
    f_D·T = 82 there are some 2·82·128 independent gains, so 0.035 and 0.02 are at least five standard errors.
    """
    described, length = {"path_delays": [0], "path_gains_db": [0], "max_doppler": 2e3}, 8192
    simulator = Simulator(Scenario(described, upsampling=1), ["QPSK"], [math.inf], length)
    index = torch.arange(128)
    k, labels = symbols(simulator, index)
    sent = CONSTELLATIONS["QPSK"][labels][:, -k[0] : length - k[0]]
    gains = run(simulator, index) * sent.conj()
    lags = np.arange(0, 700, 25)
    correlation = np.array([(gains[:, lag:] * gains[:, : length - lag].conj()).mean() for lag in lags])
    assert np.abs(correlation - j0(2 * np.pi * 2e3 * lags / 200e3)).max() < 0.035
    f, power = power_spectrum(gains, 200e3)
    order = np.argsort(f)
    share = np.cumsum(power[order]) / power.sum()
    law = 0.5 + np.arcsin(np.clip(f[order] / 2e3, -1, 1)) / np.pi
    assert np.abs(share - law)[np.abs(f[order]) < 1.8e3].max() < 0.02
    assert power[np.abs(f) > 2.1e3].sum() < 1e-4 * power.sum()


def test_rician_fading_with_a_large_k_is_no_fading():
    """K = 10⁶ scatters 10⁻⁶ of the power: −60 dB on average; the worst of 32 stays below −45 dB."""
    strong = Channel((0.0,), (0.0,), max_doppler=100, k_factor=1e6)
    index = torch.arange(32)
    for name in ("16QAM", "GFSK", "SSB-AM"):
        still = Simulator(Scenario(), [name], [math.inf])
        faded = with_the_draws_of(still, Simulator(Scenario(strong), [name], [math.inf]))
        a, b = run(still, index), run(faded, index)
        assert error_db(b, a) < -45
        assert 10 * math.log10((np.abs(b - a) ** 2).mean()) < -55


# --- Independence and addresses ----------------------------------------------------------------------------------


@pytest.mark.parametrize("snr_db", [0.0, math.inf])
def test_instances_of_different_addresses_are_uncorrelated(snr_db):
    """Inner products of unit-power instances of independent white samples: mean 0 and E|ρ|² = 1/N.

    Over 4096 pairs that differ in one part of the address, within four standard errors. The signals are the symbols
    themselves, and noise.
    """
    length, index = 256, torch.arange(4096)
    scenario = Scenario(upsampling=1)

    def simulator(seed):
        return Simulator(scenario, ["16QAM", "64QAM"], [snr_db, snr_db - 1 if snr_db < 99 else 300.0], length, seed)

    base = run(simulator(0), index)
    others = {
        "index": np.roll(base, 1, 0),
        "distant index": run(simulator(0), index + (1 << 32)),
        "modulation": run(simulator(0), index, modulation=1),
        "snr": run(simulator(0), index, snr=1),
        "seed": run(simulator(1), index),
    }
    for part, other in others.items():
        product = (base.conj() * other).mean(1)
        for component in (product.real, product.imag):
            assert abs(component.mean()) < 4 * math.sqrt(1 / (2 * length * 4096)), part
        square = np.abs(product) ** 2 * length  # exponential: mean 1, standard deviation 1
        assert square.mean() == pytest.approx(1, abs=4 / math.sqrt(4096)), part


def test_fading_of_different_addresses_and_paths_is_uncorrelated():
    """Correlations of 10,000 complex normal gains have standard error 1/√10000."""
    fading, count = Fading(CHANNELS["rayleigh"], 200e3, 8), 10_000

    def gains(key):
        drawn = fading.gains(torch.tensor([address_key(key)]).expand(count, 2), torch.arange(count))[..., 0].double()
        return torch.complex(drawn[:, :, 0], drawn[:, :, 1]).numpy()

    first, second = gains("a"), gains("b")
    columns = [*first.T, *second.T, *np.roll(first, 1, 0).T]
    columns = [column / np.sqrt((np.abs(column) ** 2).mean()) for column in columns]
    for place, one in enumerate(columns):
        for other in columns[:place]:
            assert abs((one.conj() * other).mean()) < 4 / math.sqrt(count)


def test_with_distributions_too_every_modulation_s_instances_follow_from_their_addresses_alone_bit_for_bit():
    scenario = Scenario(**IMPAIRED.as_dict() | {"channel": "rayleigh_2"})
    simulator = Simulator(scenario, ALL, [0, 20], seed=5)
    count = 3 * len(ALL)
    index = torch.arange(count)
    modulation, snr = index % len(ALL), index % 2
    batch = simulator(modulation, snr, index)
    assert batch.isfinite().all()
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    assert torch.equal(simulator(modulation[order], snr[order], index[order]), batch[order])
    alone = [simulator(modulation[k : k + 1], snr[k : k + 1], index[k : k + 1]) for k in range(count)]
    assert torch.equal(torch.cat(alone), batch)
    for place, name in enumerate(ALL):
        one = simulate(scenario, name, [0, 20][place % 2], [place], seed=5)
        assert torch.equal(torch.stack([one.real, one.imag], 1)[0], batch[place])
