"""The simulator against theory, and the promise that an instance depends on its address alone."""

import math
import resource
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import j0

from amc_core import CHANNELS, MODULATION_SETS, AmcError, Channel, Scenario, Simulator, simulate
from amc_core.channels import Fading
from amc_core.constellations import CONSTELLATIONS
from amc_core.identity import address_key
from amc_core.pulses import raised_cosine
from amc_core.scenario import AUGMOD, AUGMOD_OFFSETS
from amc_core.stages import Batch, Draws

COMPLEX = MODULATION_SETS["complex"]
LINEAR = [name for name in COMPLEX if name in CONSTELLATIONS]
TABLE_I_L = (2, 3.2, 4, 6.4, 8, 10.67, 16, 32)


def keys(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor([address_key("test")]).expand(count, 2), torch.arange(count)


def batch(scenario: Scenario, count: int) -> Batch:
    """So many addresses of a setting's first modulation."""
    zeros = torch.zeros(count, dtype=torch.int64)
    return Batch(zeros, *keys(count), Draws(scenario, *keys(count)), torch.zeros(count))


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_batch_equals_each_instance_alone_and_in_any_order_bit_for_bit(channel):
    simulator = Simulator(Scenario(channel, 10.67), COMPLEX, [-6, 18], seed=3)
    index = torch.arange(100)
    modulation, snr = index % 20, index % 2
    batch = simulator(modulation, snr, index)
    order = torch.randperm(100)
    assert torch.equal(simulator(modulation[order], snr[order], index[order]), batch[order])
    alone = [simulator(modulation[k : k + 1], snr[k : k + 1], index[k : k + 1]) for k in range(100)]
    assert torch.equal(torch.cat(alone), batch)


@pytest.mark.parametrize("modulation", ["16QAM", "OQPSK", "GFSK", "B-FM", "SSB-AM"])
def test_simulate_gives_addresses_0_to_99_alone_together_and_backwards_bit_for_bit(modulation):
    scenario = Scenario("rayleigh")
    together = simulate(scenario, modulation, 10, range(100))
    assert torch.equal(simulate(scenario, modulation, 10, reversed(range(100))), together.flip(0))
    assert torch.equal(torch.cat([simulate(scenario, modulation, 10, [k]) for k in range(100)]), together)


def test_any_change_of_the_address_gives_another_instance():
    base = dict(scenario=Scenario(), modulation="QPSK", snr_db=10, indices=[5], seed=0)
    changes = [
        {},
        {"scenario": Scenario(rolloff=0.25)},
        {"modulation": "OQPSK"},
        {"snr_db": 12},
        {"indices": [6]},
        {"seed": 1},
    ]
    instances = [simulate(**base | change)[0] for change in changes]
    for place, one in enumerate(instances):
        for other in instances[:place]:
            assert abs(torch.vdot(one, other) / 1024) < 0.5


@pytest.mark.parametrize("modulation", ["64QAM", "OQPSK", "256APSK", "GFSK", "SSB-AM"])
@pytest.mark.parametrize("scenario", [Scenario("rician", 3.2), AUGMOD_OFFSETS, replace(AUGMOD, channel="rayleigh_2")])
def test_more_threads_change_nothing(scenario, modulation):
    threads = torch.get_num_threads()
    try:
        results = []
        for count in (1, 2):
            torch.set_num_threads(count)
            results.append(simulate(scenario, modulation, 6, range(100)))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*results)


@pytest.mark.parametrize("modulation", COMPLEX)
@pytest.mark.parametrize("channel", CHANNELS)
def test_every_instance_has_unit_power(modulation, channel):
    instances = simulate(Scenario(channel, 6.4), modulation, 4, range(8))
    assert instances.shape == (8, 1024) and instances.dtype == torch.complex64
    assert instances.abs().square().mean(1).numpy() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("modulation", COMPLEX)
@pytest.mark.parametrize("channel", ["awgn", "rician"])
def test_measured_snr_is_the_asked_one(modulation, channel):
    """The same address without its noise is the signal; what projection on it leaves is the noise."""
    scenario, count = Scenario(channel, 4), 64
    simulator = Simulator(scenario, [modulation], [7.0, math.inf])
    simulator.keys[:, 1] = simulator.keys[:, 0]  # the same symbols, channel and noise stream, without the noise
    zeros, index = torch.zeros(count, dtype=torch.int64), torch.arange(count)
    noisy, clean = (torch.complex(*simulator(zeros, zeros + s, index).unbind(1)).to(torch.complex128) for s in (0, 1))
    gain = (clean.conj() * noisy).sum(1) / (clean.abs() ** 2).sum(1)
    residual = noisy - gain[:, None] * clean
    snr = (gain.abs() ** 2).mean() * 1024 / 1023 / (residual.abs() ** 2).mean()
    assert 10 * math.log10(snr) == pytest.approx(7, abs=0.1)


@pytest.mark.parametrize("modulation", LINEAR)
@pytest.mark.parametrize("upsampling", TABLE_I_L)
def test_linear_modulations_show_their_constellation_at_the_symbol_instants(modulation, upsampling):
    scenario = Scenario(upsampling=upsampling)
    simulator = Simulator(scenario, [modulation], [math.inf])
    i, q = simulator.families[0](None, batch(scenario, 8))
    instants = [n for n in range(1024) if (n / scenario.samples_per_symbol).denominator == 1]
    points = CONSTELLATIONS[modulation]
    seen_i, seen_q = i[:, 0, instants].numpy().ravel(), q[:, 0, instants].numpy().ravel()
    if modulation == "OQPSK":  # Q is half-way between its symbols when I is at one
        assert np.abs(np.abs(seen_i) - math.sqrt(0.5)).max() < 1e-5
        assert np.abs(np.abs(seen_q) - math.sqrt(0.5)).max() > 0.1
    else:
        assert np.abs((seen_i + 1j * seen_q)[:, None] - points).min(1).max() < 1e-5


@pytest.mark.parametrize("rolloff", [0.15, 0.35, 0.45, 1.0])
def test_the_raised_cosine_has_no_intersymbol_interference_and_no_gap_at_its_singular_point(rolloff):
    t = np.arange(-20, 21)
    assert raised_cosine(t, rolloff) == pytest.approx((t == 0).astype(float), abs=1e-12)
    singular = 1 / (2 * rolloff)
    around = raised_cosine(np.array([singular - 1e-5, singular, singular + 1e-5]), rolloff)
    assert around[1] == pytest.approx(around[[0, 2]].mean(), abs=1e-6)


@pytest.mark.parametrize("rolloff", [0.15, 0.45])
@pytest.mark.parametrize("upsampling", [2, 10.67])
def test_the_occupied_bandwidth_is_that_of_the_raised_cosine(rolloff, upsampling):
    scenario = Scenario(upsampling=upsampling, rolloff=rolloff)
    instances = simulate(scenario, "16QAM", math.inf, range(100)).numpy()
    window = np.hanning(1024)
    spectrum = (np.abs(np.fft.fft(instances * window)) ** 2).mean(0)
    frequency = np.abs(np.fft.fftfreq(1024))
    edge = (1 + rolloff) / upsampling / 2
    assert spectrum[frequency > edge + 0.01].sum() / spectrum.sum() < 1e-4
    assert spectrum[frequency > 0.97 / upsampling / 2].sum() / spectrum.sum() > 1e-3
    middle = spectrum[np.abs(frequency - 0.5 / upsampling) < 0.0016].mean()
    assert middle / spectrum[frequency < 0.2 / upsampling].mean() == pytest.approx(0.25, rel=0.25)  # half as high


@pytest.mark.parametrize("modulation", ["CPFSK", "GFSK", "B-FM"])
def test_frequency_and_phase_modulations_have_a_constant_envelope(modulation):
    assert simulate(Scenario(), modulation, math.inf, range(16)).abs().numpy() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(("modulation", "index", "tolerance"), [("CPFSK", 0.5, 1e-3), ("GFSK", 1.0, 0.05)])
@pytest.mark.parametrize("upsampling", [8, 10.67, 32])
def test_a_long_run_of_equal_symbols_turns_the_phase_by_pi_h_each(modulation, index, tolerance, upsampling):
    instances = simulate(Scenario(upsampling=upsampling), modulation, math.inf, range(64)).numpy()
    frequency = np.angle(instances[:, 1:] * instances[:, :-1].conj()) / (2 * np.pi)  # cycles per sample
    assert np.abs(frequency).max() * upsampling == pytest.approx(index / 2, rel=tolerance)


def test_single_sideband_has_one_sideband_and_double_sideband_two():
    def power(modulation):
        instances = simulate(Scenario(), modulation, math.inf, range(32)).numpy()
        spectrum = (np.abs(np.fft.fft(instances * np.blackman(1024))) ** 2).mean(0)
        offset = np.fft.fftfreq(1024, 1 / 200e3) - 50e3  # from the intermediate frequency
        return spectrum[(offset > 800) & (offset < 12e3)].sum(), spectrum[(offset < -800) & (offset > -12e3)].sum()

    upper, lower = power("SSB-AM")
    assert upper > 1e4 * lower
    upper, lower = power("DSB-AM")
    assert upper == pytest.approx(lower, rel=0.05)


@pytest.mark.parametrize("channel", ["rayleigh", "rician", "rayleigh_2"])
def test_path_powers_are_those_of_table_i(channel):
    described = CHANNELS[channel]
    gains = Fading(described, 200e3, 16).gains(*keys(40_000))[..., 0].numpy().astype(float)
    measured = (gains**2).sum(2).mean(0)
    expected = 10 ** (np.array(described.path_gains_db) / 10)
    assert measured == pytest.approx(expected / expected.sum(), rel=0.03)


def test_rayleigh_envelopes_and_phases_follow_their_laws():
    gains = Fading(CHANNELS["rayleigh"], 200e3, 16).gains(*keys(20_000))[:, 1, :, 5].numpy().astype(float)
    envelope = np.hypot(*gains.T)
    assert stats.kstest(envelope, "rayleigh", args=(0, np.sqrt((envelope**2).mean() / 2))).pvalue > 0.01
    assert stats.kstest(np.arctan2(*gains.T), "uniform", args=(-np.pi, 2 * np.pi)).pvalue > 0.01


def test_the_rician_factor_found_by_moments_is_4_on_the_first_path_and_0_on_the_others():
    gains = Fading(CHANNELS["rician"], 200e3, 16).gains(*keys(200_000))[..., 0].numpy().astype(float)
    power = (gains**2).sum(2)
    mean, square = power.mean(0), (power**2).mean(0)
    direct = np.sqrt(np.maximum(2 * mean**2 - square, 0))  # E|h|⁴ = 2 P² − A⁴ for direct power A²
    factor = direct / (mean - direct)
    assert factor[0] == pytest.approx(4, rel=0.05)
    assert np.all(factor[1:] < 0.15)


@pytest.mark.parametrize("doppler_times_duration", [0.02, 1.0, 20.0])
def test_the_autocorrelation_of_fading_is_that_of_jakes(doppler_times_duration):
    length, rate = 1024, 200e3
    doppler = doppler_times_duration * rate / length
    channel = Channel((0.0,), (0.0,), max_doppler=doppler)
    gains = Fading(channel, rate, length).gains(*keys(4000))[:, 0].numpy().astype(float)
    h = gains[:, 0] + 1j * gains[:, 1]
    lags = np.arange(0, length, 64)
    correlation = (h[:, lags] * h[:, :1].conj()).mean(0)
    assert np.abs(correlation - j0(2 * np.pi * doppler * lags / rate)).max() < 5 / np.sqrt(len(h))


def test_a_path_delay_of_whole_samples_delays_the_signal():
    """At 2 MHz the 9 µs of Rayleigh 2's last path are 18 samples: the simulator's path signals show it."""
    simulator = Simulator(Scenario("rayleigh_2", 6.4, sample_rate=2e6), ["16QAM", "GFSK", "SSB-AM"], [10])
    for baseband in simulator.families:
        i, q = baseband(None, batch(simulator.scenario, 4))
        direct, delayed = torch.complex(i[:, 0], q[:, 0]), torch.complex(i[:, 3], q[:, 3])
        assert torch.allclose(delayed[:, 18:], direct[:, :-18], atol=2e-3 * direct.abs().max().item())


def test_an_instance_must_be_longer_than_the_channel():
    with pytest.raises(AmcError, match="9 µs"):
        simulate(Scenario("rayleigh_2", sample_rate=2e6), "BPSK", 10, [0], length=16)


def test_numbers_of_any_type_are_one_address():
    plain = simulate(Scenario(), "16QAM", 0, [3], length=64, seed=1)
    frame = simulate(
        Scenario(), np.str_("16QAM"), np.float64(-0.0), np.array([3]), length=np.int32(64), seed=np.int64(1)
    )
    assert torch.equal(plain, frame)


@pytest.mark.parametrize(
    "bad",
    [
        {"modulation": "17QAM"},
        {"modulation": ["BPSK"]},
        {"indices": [-1]},
        {"indices": [1 << 63]},
        {"indices": [0.5]},
        {"indices": 3},
        {"length": 0},
        {"length": "64"},
        {"seed": 1.5},
        {"snr_db": math.nan},
        {"snr_db": -math.inf},
        {"snr_db": "loud"},
    ],
)
def test_an_impossible_address_is_refused(bad):
    good = dict(scenario=Scenario(), modulation="BPSK", snr_db=10, indices=[0], length=64)
    with pytest.raises(AmcError):
        simulate(**good | bad)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_instances_up_to_rounding():
    for channel in CHANNELS:
        simulators = [Simulator(Scenario(channel), COMPLEX, [10], device=device) for device in ("cpu", "cuda")]
        index = torch.arange(200)
        cpu, gpu = (simulator(index % 20, index * 0, index).cpu() for simulator in simulators)
        assert torch.allclose(cpu, gpu, atol=1e-3)


@pytest.mark.parametrize("doppler_of_rate", [0.25, 0.9995, 1.0, 2.0, 5.0])
def test_fading_as_fast_as_the_samples_keeps_its_power_and_its_law(doppler_of_rate):
    rate, length = 200e3, 256
    channel = Channel((0.0, 1e-6), (0.0, -3.0), max_doppler=doppler_of_rate * rate)
    gains = Fading(channel, rate, length).gains(*keys(3000)).numpy().astype(float)
    h = gains[:, :, 0] + 1j * gains[:, :, 1]
    expected = 10 ** (np.array([0, -0.3])) / (1 + 10**-0.3)
    assert (np.abs(h) ** 2).mean((0, 2)) == pytest.approx(expected, rel=0.05)
    lags = np.arange(6)
    correlation = (h[:, 0, lags] * h[:, 0, :1].conj()).mean(0) / expected[0]
    assert np.abs(correlation - j0(2 * np.pi * doppler_of_rate * lags)).max() < 5 / np.sqrt(len(h))


@pytest.mark.parametrize("fields", [{"rolloff": 1e-80}, {"rolloff": 1e-310, "pulse": "root_raised_cosine"}])
def test_the_smallest_roll_off_is_as_good_as_none(fields):
    assert torch.isfinite(simulate(Scenario(**fields), "QPSK", 10, range(2)).abs()).all()


def test_an_odd_ratio_of_a_long_instance_takes_little_memory():
    scenario = Scenario(upsampling=8.0001, sample_rate_offset=10)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert simulate(scenario, "QPSK", 10, [0], length=1 << 17).shape == (1, 1 << 17)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 3 << 20  # KiB; a matrix would take 9 GiB


def test_audio_that_cannot_be_heard_and_recordings_are_not_simulated(tmp_path):
    with pytest.raises(AmcError, match="8000 Hz"):
        simulate(Scenario(sample_rate=1000), "DSB-AM", 10, [0])
    with pytest.raises(AmcError, match="not simulated"):
        simulate(Scenario(recording=str(tmp_path)), "BPSK", 10, [0])
