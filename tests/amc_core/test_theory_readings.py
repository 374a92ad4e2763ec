"""What the text of a paper leaves open, each reading against its closed form: power, pulse, direct path, pauses."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import binom, kstest

from amc_core import Scenario, simulate
from amc_core.audio import SpeechLike
from amc_core.channels import Fading
from amc_core.noise import Noise, Scaling
from amc_core.pulses import pulse_span, raised_cosine, root_raised_cosine
from amc_core.scenario import Channel
from amc_core.stages import Batch, Draws, Setting

FLAT = {"path_delays": [0], "path_gains_db": [0], "max_doppler": 1, "name": "flat"}
ROLLOFFS = (0, 0.005, 0.01, 0.02, 0.1, 0.15, 0.35, 0.5, 1)


def noisy(signal: torch.Tensor, noise_power: float, sent_power: float | None = None, **fields) -> torch.Tensor:
    """What noise and scaling make of signals (batch, 2, length)."""
    scenario, batch = Scenario(**fields), len(signal)
    keys, indices = torch.tensor([[3, 4]]).expand(batch, -1), torch.arange(batch)
    whole = Batch(indices, keys, indices, Draws(scenario, keys, indices), torch.full((batch,), noise_power))
    if sent_power is not None:
        whole = replace(whole, sent_power=torch.full((batch,), sent_power))
    setting = Setting(scenario, np.zeros(1), signal.shape[2], torch.device("cpu"))
    for stage in filter(None, (Noise.of(setting), Scaling.of(setting))):
        signal = stage(signal, whole)
    return signal


def mean_power(x: torch.Tensor) -> torch.Tensor:
    return (x * x).sum(1).mean(1)


def test_snr_is_of_the_faded_instance_or_of_the_average_over_fading():
    """CPFSK has power 1 and a flat Rayleigh path |h|² ~ Exp(1): received is 2|h|² at 0 dB, or |h|² + 1."""
    count, common = 1500, {"channel": FLAT, "normalisation": "none"}
    powers = {
        reference: simulate(Scenario(snr_reference=reference, **common), "CPFSK", 0, range(count), 1024).abs().square()
        for reference in ("instance", "average")
    }
    own, average = (powers[name].mean(1).double().numpy() for name in ("instance", "average"))
    assert kstest(own / 2, "expon").pvalue > 0.001
    # Noise of 1024 samples has a power of 1 ± 0.03, and a cross term with the signal: |h|² is told to within ± 0.05.
    for level in (0.2, 0.5, 1.0, 2.0):
        share, expected = (average - 1 > level).mean(), math.exp(-level)
        assert abs(share - expected) < 4 * math.sqrt(expected * (1 - expected) / count) + 0.03
    assert average.mean() == pytest.approx(2, abs=0.12)


def test_average_noise_does_not_depend_on_how_the_instance_fades():
    signal = torch.zeros(3, 2, 4096)
    signal[:, 0] = torch.tensor([0.1, 1.0, 3.0])[:, None]
    noise = noisy(signal, 0.5, sent_power=2.0, normalisation="none", snr_reference="average") - signal
    assert mean_power(noise).numpy() == pytest.approx(np.ones(3), rel=0.08)


def test_an_instance_is_scaled_to_unit_power_divided_by_its_energy_or_its_largest_magnitude_or_left():
    signal = torch.randn(5, 2, 512, generator=torch.Generator().manual_seed(1)) * torch.arange(1, 6)[:, None, None]
    left = noisy(signal, 0.1, normalisation="none")
    power = mean_power(left)
    assert torch.allclose(noisy(signal, 0.1), left / power.sqrt()[:, None, None], rtol=1e-5)
    by_energy = noisy(signal, 0.1, normalisation="energy")
    assert torch.allclose(by_energy, left / (512 * power)[:, None, None], rtol=1e-5, atol=1e-9)
    by_magnitude = noisy(signal, 0.1, normalisation="max")
    assert torch.allclose(by_magnitude, left / left.norm(dim=1).amax(1)[:, None, None], rtol=1e-5)


@pytest.mark.parametrize(
    ("pulse", "shape"), [("raised_cosine", raised_cosine), ("root_raised_cosine", root_raised_cosine)]
)
def test_less_than_a_hundred_thousandth_of_a_pulse_is_cut_at_every_rolloff(pulse, shape):
    t = np.arange(0, 4000, 1 / 8)
    for rolloff in ROLLOFFS:
        energy = shape(t, max(rolloff, 0.01)) ** 2
        assert energy[t > pulse_span(pulse, rolloff)].sum() < 1e-5 * energy.sum(), rolloff


def test_a_rolloff_of_zero_is_the_narrowest_that_can_be_simulated():
    """Of a signal through a pulse of roll-off α, less than 10⁻⁴ lies beyond (1 + α)/2 of the symbol rate."""
    x = simulate(Scenario(rolloff=0, upsampling=4), "QPSK", float("inf"), range(40), 4096).numpy()
    window = np.kaiser(4096, 14)
    spectrum = (np.abs(np.fft.fft(x * window)) ** 2).mean(0)
    beyond = np.abs(np.fft.fftfreq(4096)) > (1.01 / 2) / 4 + 4 / 4096
    assert spectrum[beyond].sum() < 1e-4 * spectrum.sum()


def test_a_pulse_is_cut_where_the_scenario_says():
    """One symbol of four: past the span of the pulses, a receiver sees nothing of it."""
    short, long = (simulate(Scenario(pulse_span=span), "BPSK", float("inf"), range(50), 512) for span in (1, None))
    # Cut at the first zeros of the raised cosine, pulses still do not disturb each other at symbol instants.
    at_symbols = short[:, ::8].real.abs()
    assert (at_symbols / at_symbols.mean(1, keepdim=True) - 1).abs().max() < 1e-3
    assert short.abs().std() != pytest.approx(long.abs().std().item(), rel=1e-3)


def test_the_direct_part_of_a_rician_path_turns_as_the_channel_says():
    channel = Channel((0,), (0,), k_factor=1e6, direct_doppler=500, direct_phase=0.5)
    keys = torch.tensor([[1, 2]])
    gain = torch.complex(*Fading(channel, 200e3, 1024).gains(keys, torch.zeros(1, dtype=torch.int64))[0, 0])
    expected = torch.exp(1j * (2 * math.pi * 500 * torch.arange(1024) / 200e3 + 0.5))
    assert (gain - expected).abs().max() < 5e-3  # a millionth of the power is scattered


@pytest.mark.parametrize("duration", [0.02, 0.4])
def test_pauses_end_twice_a_second_whatever_the_duration_of_an_instance(duration):
    count = 3000
    source = SpeechLike(np.linspace(0, duration, 400), 16e3, duration)
    *_, envelope = source._lines(torch.tensor([[5, 6]]).expand(count, -1), torch.arange(count))
    begins_silent = int((envelope[:, 0] == 0).sum())
    expected = 1 - math.exp(-2 * duration)
    assert binom.cdf(begins_silent, count, expected) > 1e-4 and binom.sf(begins_silent - 1, count, expected) > 1e-4
    silent = (envelope == 0).double().mean().item()
    rate = 2 * duration
    assert silent == pytest.approx((1 - math.exp(-rate) * (1 + rate)) / rate, rel=0.2)  # E[t; t < T] / T
