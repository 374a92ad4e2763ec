"""The compiled loops against their torch twins, bit for bit, by themselves and through the whole simulator."""

import math

import numpy as np
import pytest
import torch

from amc_core import Channel, Scenario, Simulator, kernels
from amc_core.channels import Fading, _longest_block
from amc_core.exactmath import _kernel_cos_sin, _torch_cos_sin, halved_sum
from amc_core.identity import address_key
from amc_core.modulations import MODULATIONS
from amc_core.randomness import FADING, complex_normal
from amc_core.scenario import AUGMOD, AUGMOD_OFFSETS, Distribution

needs_kernels = pytest.mark.skipif(kernels.library() is None, reason="_kernels.c is not built (no C compiler)")

FAST = Channel((0, 2e-6), (0, -3), max_doppler=3000, k_factor=2)  # cubics of 64 samples
IMPAIRED = Scenario(
    "rayleigh", amplifier_backoff_db=3, phase_noise_linewidth={"uniform": [1, 100]}, impulsive_index=0.1,
    impulsive_ratio=0.1, iq_gain_imbalance_db=1, iq_phase_imbalance=0.1, dc_offset_i=0.1, clipping_level=1.5,
    quantiser_bits=6, snr_reference="average",
)  # fmt: skip
FASTEST = Channel((0,), (0,), max_doppler=90e3)  # and of 4


SCENARIOS = {
    "awgn": Scenario("awgn", 10.67),
    "rayleigh": Scenario("rayleigh", 10.67),
    "rician": Scenario("rician", 10.67),
    "rayleigh_2": Scenario("rayleigh_2", 2, sample_rate=600e3),
    "fast": Scenario(FAST, 8, timing_offset=Distribution("uniform", 0, 1)),
    "fastest": Scenario(FASTEST, 3.2),
    "augmod": AUGMOD,
    "augmod_with_offsets": AUGMOD_OFFSETS,
    "impaired": IMPAIRED,
}
# An instance is longer than the delays of its channel.
LONGER = [
    pytest.param(scenario, length, id=f"{name}-{length}")
    for name, scenario in SCENARIOS.items()
    for length in (1024, 333, 5, 1)
    if length > scenario.sample_rate * max(scenario.paths.path_delays, default=0)
]


@needs_kernels
@pytest.mark.parametrize(("scenario", "length"), LONGER)
def test_without_the_kernels_every_instance_is_the_same_bit_for_bit(scenario, length, monkeypatch):
    simulator = Simulator(scenario, tuple(MODULATIONS), [10.0, math.inf], length)
    index = torch.arange(2 * len(MODULATIONS))
    address = index % len(MODULATIONS), index % 2, index
    usual = simulator(*address)
    monkeypatch.setattr(kernels, "library", lambda: None)
    assert torch.equal(simulator(*address), usual)


@needs_kernels
def test_cosines_and_sines_are_torchs_for_any_number_and_layout():
    for turns in (torch.randn(100_003) * 50, torch.arange(-4000, 4000) / 16, torch.randn(6, 9, 5).transpose(0, 2)):
        for ours, theirs in zip(_kernel_cos_sin(turns), _torch_cos_sin(turns), strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize("count", [1, 2, 3, 32, 33, 1000])
def test_a_halved_sum_is_a_sum(count):
    x = torch.randn(3, count, 2)
    assert torch.allclose(halved_sum(x).double(), x.double().sum(1), atol=1e-6 * count)


@pytest.mark.parametrize("cycles", [0, 4 / 2e5, 8 / 2e5, 1e-3, 0.1, 0.5])
@pytest.mark.parametrize("length", [1, 4, 100, 1024])
def test_a_block_of_cubics_is_the_wave_it_stands_for(cycles, length):
    places, fit = _longest_block(cycles, length)
    wave = np.exp(2j * np.pi * cycles * np.arange(len(places)))
    assert np.abs(np.vander(places, 4, increasing=True) @ (fit @ wave) - wave).max() < 1.1e-6


@pytest.mark.parametrize("channel", [FAST, FASTEST, Channel((0, 1e-6), (0, -1), max_doppler=8)])
def test_gains_are_the_sum_of_sinusoids(channel):
    """Of their definition in float64, to 10⁻⁵ of the rms of all paths together."""
    keys, index = torch.tensor([address_key("test")]).expand(50, 2), torch.arange(50)
    gains = Fading(channel, 200e3, 1024).gains(keys, index).double()
    short = torch.stack([_gains_at(channel, n, keys, index) for n in (0, 1, 500, 1023)], -1)
    assert (gains[..., [0, 1, 500, 1023]] - short).abs().max() < 1e-5


def _gains_at(channel: Channel, sample: int, keys: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """(batch, paths, 2) float64, from the definition."""
    fading = Fading(channel, 200e3, 1024)
    normals = complex_normal(keys, index, FADING, fading.paths * fading.sinusoids).double()
    c = torch.complex(*normals.view(-1, 2, fading.paths, fading.sinusoids).unbind(1))
    angle = math.pi * (torch.arange(fading.sinusoids, dtype=torch.float64) + 0.5) / fading.sinusoids
    turns = channel.max_doppler * torch.cos(angle) * sample / 200e3
    wave = torch.polar(torch.full_like(turns, (2 * fading.sinusoids) ** -0.5), 2 * math.pi * turns)
    h = (c * wave).sum(2) * fading.scale[:, 0]
    direct = 10 ** (channel.path_gains_db[0] / 10) / sum(10 ** (gain / 10) for gain in channel.path_gains_db)
    h[:, 0] += math.sqrt(direct * channel.k_factor / (channel.k_factor + 1))
    return torch.view_as_real(h)
