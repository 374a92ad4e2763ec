"""Impairments of transmitters and receivers against their closed forms; `theory` tells the tolerances."""

import math

import numpy as np
import pytest
import torch
from scipy.special import erfc
from scipy.stats import kstest, poisson

from amc_core import AmcError, Channel, Scenario, Simulator
from amc_core.exactmath import exponential
from amc_core.identity import key, stream
from amc_core.impairments import Converter, DcOffset, Imbalance, PhaseNoise
from amc_core.modulations import MODULATIONS
from amc_core.noise import Noise
from amc_core.scenario import SCENARIO_FIELDS, scenario_from
from amc_core.stages import Batch, Draws, Setting
from tests.amc_core.theory import closed_form, drawn, error_db, run, with_the_draws_of

EVERYTHING = Scenario(
    channel="rician", timing_offset={"uniform": [0, 1]}, phase_offset=1,
    amplifier_backoff_db={"uniform": [0, 6]}, amplifier_smoothness={"uniform": [1, 4]},
    phase_noise_linewidth={"log_uniform": [1, 1000]}, impulsive_index={"log_uniform": [0.01, 1]}, impulsive_ratio=0.1,
    iq_gain_imbalance_db={"uniform": [-1, 1]}, iq_phase_imbalance={"uniform": [-0.1, 0.1]},
    dc_offset_i={"uniform": [-0.1, 0.1]}, dc_offset_q=0.05, clipping_level={"uniform": [1, 3]},
    quantiser_bits={"uniform": [3, 10]},
)  # fmt: skip
BEYOND = float("inf")  # SNR without noise


def through(kind: type, signal: np.ndarray, **fields) -> np.ndarray:
    """What one stage makes of complex signals (batch, length)."""
    scenario, (batch, length) = Scenario(**fields), signal.shape
    keys, indices = torch.tensor([[3, 4]]).expand(batch, -1), torch.arange(batch)
    whole = Batch(indices, keys, indices, Draws(scenario, keys, indices), torch.ones(batch))
    parts = torch.as_tensor(np.stack([signal.real, signal.imag], 1), dtype=torch.float32)
    i, q = kind(Setting(scenario, np.zeros(1), length, torch.device("cpu")))(parts, whole).double().unbind(1)
    return torch.complex(i, q).numpy()


def tone(cycles: int, length: int = 1024, count: int = 1) -> np.ndarray:
    return np.tile(np.exp(2j * np.pi * cycles * np.arange(length) / length), (count, 1))


# --- Transmitter -------------------------------------------------------------------------------------------------


def rapp(x: np.ndarray, backoff_db: np.ndarray | float, p: np.ndarray | float, power: np.ndarray) -> np.ndarray:
    saturation = np.reshape(np.sqrt(power * 10 ** (np.asarray(backoff_db) / 10)), (-1, 1))
    p = np.reshape(p, (-1, 1))
    return x / (1 + (np.abs(x) / saturation) ** (2 * p)) ** (1 / (2 * p))


@pytest.mark.parametrize("p", [0.5, 3, 50])
@pytest.mark.parametrize("backoff_db", [-10, 0, 6])
def test_an_amplifier_has_the_am_am_curve_of_rapp_and_leaves_the_phase(backoff_db, p):
    plain = Simulator(Scenario(normalisation="none"), ["64QAM"], [BEYOND])
    fields = {"amplifier_backoff_db": backoff_db, "amplifier_smoothness": p}
    amplified = with_the_draws_of(plain, Simulator(Scenario(normalisation="none", **fields), ["64QAM"], [BEYOND]))
    x, y = (run(simulator, torch.arange(8)) for simulator in (plain, amplified))
    expected = rapp(x, backoff_db, p, (np.abs(x) ** 2).mean(1))
    assert np.abs(y - expected).max() < 3e-6


def test_an_amplifier_saturates_and_what_it_amplifies_by_far_less_it_leaves():
    simulators = [
        Simulator(Scenario(normalisation="none", amplifier_backoff_db=backoff), ["64QAM"], [BEYOND])
        for backoff in (-30, 60, None)
    ]
    x, y, plain = (run(with_the_draws_of(simulators[2], one), torch.arange(4)) for one in simulators)
    level = np.sqrt((np.abs(plain) ** 2).mean(1, keepdims=True) * 1e-3)
    assert np.abs(x).max() <= level.max() * (1 + 1e-6) and np.median(np.abs(x) / level) == pytest.approx(1, abs=1e-3)
    assert np.abs(y - plain).max() < 1e-5


def test_all_paths_carry_one_amplified_signal_at_their_delays():
    """Also at delays between samples, since the law has no memory: r = Σ h_i y(t − τ_i)."""
    channel = Channel((0, 3.3e-6, 8e-6), (0, -1, -5), max_doppler=50)
    fields = {"amplifier_backoff_db": {"uniform": [0, 3]}, "amplifier_smoothness": {"uniform": [1, 4]}}
    simulator = Simulator(Scenario(channel, **fields), ["16QAM"], [BEYOND])
    index = torch.arange(6)
    sent = [closed_form(simulator, "16QAM", index, delay) for delay in channel.path_delays]
    draws, power = drawn(simulator, index), (np.abs(sent[0]) ** 2).mean(1)
    gains = simulator.paths.gains(simulator.keys[0, :1].expand(len(index), 2), index).double()
    gains = torch.complex(gains[:, :, 0], gains[:, :, 1]).numpy()
    amplified = (rapp(x, draws["amplifier_backoff_db"], draws["amplifier_smoothness"], power) for x in sent)
    expected = sum(gains[:, path] * one for path, one in enumerate(amplified))
    assert error_db(run(simulator, index), expected) < -60


def test_the_exponential_is_that_of_float64_to_a_few_ulps():
    x = torch.linspace(-87, 87, 100_001)
    assert (exponential(x).double() / x.double().exp() - 1).abs().max() < 3e-7
    assert exponential(torch.tensor([-1e9, 0.0])).tolist() == pytest.approx([math.exp(-87), 1], rel=1e-6)


# --- Phase noise -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("linewidth", [10.0, 1000.0])
def test_phase_noise_is_a_wiener_process_of_the_lorentzian_s_increments(linewidth):
    """Var Δφ = 2πΔν/f_s, Gaussian and independent; E exp(j(φ(t + τ) − φ(t))) = exp(−πΔν|τ|)."""
    count, length, rate = 400, 1024, 200e3
    turned = through(PhaseNoise, np.ones((count, length)), phase_noise_linewidth=linewidth)
    assert np.abs(np.abs(turned) - 1).max() < 1e-6 and np.abs(turned[:, 0] - 1).max() < 1e-6
    increments = np.angle(turned[:, 1:] * turned[:, :-1].conj())
    variance = 2 * math.pi * linewidth / rate
    samples = increments.size
    assert (increments**2).mean() == pytest.approx(variance, rel=4 * math.sqrt(2 / samples))
    assert kstest(increments[:, ::16].ravel() / math.sqrt(variance), "norm").pvalue > 0.001
    neighbours = (increments[:, 1:] * increments[:, :-1]).mean() / variance
    assert abs(neighbours) < 4 / math.sqrt(samples)
    for lag in (1, 32, 512):
        products = (turned[:, lag:] * turned[:, :-lag].conj()).mean(1)
        expected = math.exp(-math.pi * linewidth * lag / rate)
        assert abs(products.mean() - expected) < 4 * products.std() / math.sqrt(count) + 1e-6


def test_phase_noise_is_slower_where_the_receiver_samples_faster():
    slow, fast = (
        np.angle(through(PhaseNoise, np.ones((4, 64)), phase_noise_linewidth=10, sample_rate_offset=ppm))
        for ppm in (0, 1e5)
    )
    assert np.abs(fast - slow / math.sqrt(1.1)).max() < 1e-6


# --- Impulsive noise ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("index", "ratio"), [(0.01, 0.1), (0.1, 0.02), (2.0, 1.0), (10.0, 0.1)])
def test_impulsive_noise_has_the_amplitudes_and_the_tail_of_class_a_and_the_power_of_the_snr(index, ratio):
    """P(|v|² > t) = Σ_m e⁻ᴬ Aᵐ/m! exp(−t/σ_m²), σ_m² = (m/A + Γ)/(1 + Γ); the density of Middleton's envelope."""
    shares = poisson.pmf(np.arange(200), index)
    powers = (np.arange(200) / index + ratio) / (1 + ratio)
    assert shares @ powers == pytest.approx(1)

    def tail(t: np.ndarray) -> np.ndarray:
        return np.exp(-np.asarray(t)[..., None] / powers) @ shares

    signal = tone(5, count=100)
    fields = {"impulsive_index": index, "impulsive_ratio": ratio}
    v = np.abs(through(Noise, signal, **fields) - signal).ravel() ** 2
    assert kstest(v, lambda t: 1 - tail(t)).pvalue > 0.001
    for level in (3, 10, 30):
        expected = tail(level)
        assert (v > level).mean() == pytest.approx(expected, abs=4 * math.sqrt(expected / len(v)) + 1e-12)
    spread = math.sqrt((2 * shares @ powers**2 - 1) / len(v))
    assert v.mean() == pytest.approx(1, abs=5 * spread)


def test_impulses_come_by_themselves_and_from_a_stream_of_their_own():
    signal = tone(5, count=200)
    gaussian = through(Noise, signal) - signal
    impulsive = through(Noise, signal, impulsive_index=0.2, impulsive_ratio=0.01) - signal
    ratio = np.abs(impulsive) / np.abs(gaussian)
    m = np.round((ratio**2 * 1.01 - 0.01) * 0.2)
    assert np.abs(ratio - np.sqrt((m / 0.2 + 0.01) / 1.01)).max() < 2e-2  # where the signal is large beside the noise
    assert m.mean() == pytest.approx(0.2, abs=4 * math.sqrt(0.2 / m.size))
    assert abs(np.corrcoef(m[:, 1:].ravel(), m[:, :-1].ravel())[0, 1]) < 4 / math.sqrt(m.size)
    streams = {stream(name) for name in (*SCENARIO_FIELDS, "impulses", "phase noise")}
    assert len(streams) == len(SCENARIO_FIELDS) + 2


# --- Receiver ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", [0, 0.02, -0.3])
@pytest.mark.parametrize("gain_db", [0, 0.5, -3])
def test_the_image_of_a_tone_is_weaker_by_the_image_rejection_ratio(gain_db, phase):
    spectrum = np.fft.fft(through(Imbalance, tone(100), iq_gain_imbalance_db=gain_db, iq_phase_imbalance=phase)[0])
    image = np.abs(spectrum[-100]) ** 2 / np.abs(spectrum[100]) ** 2
    g = 10 ** (gain_db / 20)
    sides = 1 + g * g - 2 * g * math.cos(phase), 1 + g * g + 2 * g * math.cos(phase)
    assert image == pytest.approx(sides[0] / sides[1], rel=1e-4, abs=1e-12)
    assert np.abs(np.delete(spectrum, [100, 924])).max() < 1e-3


def test_i_is_amplified_more_than_q_and_the_axes_are_off_a_right_angle():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(1, 100_000)) + 1j * rng.normal(size=(1, 100_000))
    y = through(Imbalance, noise, iq_gain_imbalance_db=2, iq_phase_imbalance=0.3)
    covariance = np.cov(y.real.ravel(), y.imag.ravel())
    assert 10 * math.log10(covariance[0, 0] / covariance[1, 1]) == pytest.approx(2, abs=0.1)
    correlation = covariance[0, 1] / math.sqrt(covariance[0, 0] * covariance[1, 1])
    assert correlation == pytest.approx(-math.sin(0.3), abs=0.02)


def test_a_dc_offset_is_a_constant_in_proportion_to_the_rms():
    y = through(DcOffset, 5 * tone(7), dc_offset_i=0.3, dc_offset_q=-0.1)
    assert np.abs(y - 5 * tone(7) - 5 * (0.3 - 0.1j)).max() < 1e-5
    simulator = Simulator(Scenario(dc_offset_i=0.3, dc_offset_q=-0.4), ["8PSK"], [0])
    x = run(simulator, torch.arange(200))
    share = 0.5**2 / (1 + 0.5**2)  # of the unit power that is left in the end
    assert np.abs(x.mean()) ** 2 == pytest.approx(share, rel=0.05)
    assert np.angle(x.mean()) == pytest.approx(math.atan2(-0.4, 0.3), abs=0.02)


@pytest.mark.parametrize("bits", [4, 8, 12])
def test_a_full_scale_sine_is_quantised_to_6_db_a_bit(bits):
    """Of a sine of full scale less: few errors are uniform where it turns, a share of 2^(−b/2) of the time."""
    length = 1 << 16
    x = np.exp(2j * np.pi * (math.sqrt(2) - 1) * np.arange(length))[None]
    y = through(Converter, x, quantiser_bits=bits)
    sqnr = 10 * math.log10((np.abs(x) ** 2).mean() / (np.abs(y - x) ** 2).mean())
    assert sqnr == pytest.approx(6.0206 * bits + 1.761, abs=2.5 * 2 ** (-bits / 2))
    levels = np.unique(np.round(y.real, 6))
    assert len(levels) == 1 << bits and np.abs(levels).max() == pytest.approx(1 - 2.0**-bits, abs=1e-4)


def test_gaussian_samples_are_clipped_as_often_as_their_tail_says():
    """Each of I and Q has half of the power: P(|I| > F·rms) = erfc(F)."""
    rng = np.random.default_rng(1)
    noise = 3 * (rng.normal(size=(50, 4096)) + 1j * rng.normal(size=(50, 4096)))
    y = through(Converter, noise, clipping_level=1.2)
    level = 1.2 * np.sqrt((np.abs(noise) ** 2).mean(1, keepdims=True))
    assert np.abs(y.real / level).max() == pytest.approx(1, abs=1e-6)
    clipped = (np.abs(y.real) > level * (1 - 1e-6)).mean()
    expected = erfc(1.2)
    assert clipped == pytest.approx(expected, abs=4 * math.sqrt(expected / noise.size))
    untouched = np.abs(noise.real) < level
    assert np.abs(y.real - noise.real)[untouched].max() < 1e-5


def test_bits_that_are_drawn_are_rounded_and_the_steps_lie_between_the_clipping_levels():
    rng = np.random.default_rng(2)
    noise = rng.normal(size=(60, 4096)) + 1j * rng.normal(size=(60, 4096))
    y = through(Converter, noise, quantiser_bits={"uniform": [1, 3]}, clipping_level=1.5)
    values = {len(np.unique(np.round(np.concatenate([row.real, row.imag]), 5))) for row in y}
    assert values == {2, 4, 8}
    level = 1.5 * np.sqrt((np.abs(noise) ** 2).mean(1, keepdims=True))
    coarse = through(Converter, noise, quantiser_bits=1, clipping_level=1.5)
    assert np.abs(np.abs(coarse.real) / level - 0.5).max() < 1e-5


# --- Together ----------------------------------------------------------------------------------------------------


def test_stages_follow_the_signal_s_way_and_unit_power_is_the_last():
    """In order: what is received, mixed with its own image, moved by a constant, converted, scaled."""
    plain = Simulator(Scenario(normalisation="none"), ["QPSK"], [3.0])
    fields = {"iq_gain_imbalance_db": 2, "iq_phase_imbalance": 0.2, "dc_offset_i": 0.2, "quantiser_bits": 3}
    impaired = with_the_draws_of(plain, Simulator(Scenario(**fields), ["QPSK"], [3.0]))
    x, y = (run(simulator, torch.arange(4)) for simulator in (plain, impaired))
    g, half = 10 ** (2 / 40), 0.1
    x = (x.real * math.cos(half) - x.imag * math.sin(half)) * g + 1j / g * (
        x.imag * math.cos(half) - x.real * math.sin(half)
    )
    x = x + 0.2 * np.sqrt((np.abs(x) ** 2).mean(1, keepdims=True))
    largest = np.maximum(np.abs(x.real), np.abs(x.imag)).max(1, keepdims=True)
    quantised = [(np.clip(np.floor(part / largest * 4), -4, 3) + 0.5) * largest / 4 for part in (x.real, x.imag)]
    expected = quantised[0] + 1j * quantised[1]
    expected /= np.sqrt((np.abs(expected) ** 2).mean(1, keepdims=True))
    assert (np.abs(y - expected) > 1e-4).mean() < 0.001  # a value on the edge of a step may be rounded to either side
    assert (np.abs(y) ** 2).mean(1) == pytest.approx(np.ones(4), rel=1e-5)


def test_instances_with_every_impairment_follow_from_their_addresses_alone_bit_for_bit():
    simulator = Simulator(EVERYTHING, ("OQPSK", "SSB-AM"), [0.0, 20.0, BEYOND], 333)
    count = 70
    modulation, snr, index = torch.arange(count) % 2, torch.arange(count) % 3, torch.arange(count) * 7
    whole = simulator(modulation, snr, index)
    assert whole.isfinite().all()
    assert torch.allclose((whole.double() ** 2).sum(1).mean(1), torch.ones(count, dtype=torch.float64), rtol=1e-5)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3 - min(threads, 2))
        parts = [simulator(modulation[some], snr[some], index[some]) for some in order.split(37)]
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(torch.cat(parts), whole[order])


def test_every_impairment_is_left_out_of_the_key_at_its_default_and_kept_by_plain_values():
    assert Scenario(iq_gain_imbalance_db=0, dc_offset_i="0", clipping_level=None).definition() == {}
    assert key(Scenario(quantiser_bits=8)) != key(Scenario(quantiser_bits=9))
    assert scenario_from(EVERYTHING.as_dict()) == EVERYTHING
    assert len(EVERYTHING.definition()) == 14


def test_an_impairment_changes_no_draw_of_another_concern():
    """Noise by itself: with the key of the plain scenario, a phase that stands still has no effect at all."""
    plain = Simulator(Scenario(), tuple(MODULATIONS), [5.0], 128)
    quiet = with_the_draws_of(plain, Simulator(Scenario(phase_noise_linewidth=1e-12), tuple(MODULATIONS), [5.0], 128))
    index = torch.arange(20)
    for modulation in range(len(MODULATIONS)):
        assert np.abs(run(plain, index, modulation) - run(quiet, index, modulation)).max() < 1e-5


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"impulsive_index": 0.1}, "impulsive_index 0.1 needs impulsive_ratio beside it"),
        ({"impulsive_ratio": 0.1}, "impulsive_ratio 0.1 needs impulsive_index beside it"),
        ({"amplifier_smoothness": 2}, "amplifier_smoothness 2 does nothing without amplifier_backoff_db"),
        (
            {"quantiser_bits": 2.5},
            "quantiser_bits 2.5 is not allowed: it has to be a whole number from 1 to 24, or null",
        ),
        ({"clipping_level": 0}, "clipping_level 0 is not allowed: it has to be a number above 0 to 1,000, or null"),
        (
            {"iq_phase_imbalance": 2},
            "iq_phase_imbalance 2 is not allowed: it has to be a number of rad from -1.5 to 1.5",
        ),
        (
            {"phase_noise_linewidth": {"uniform": [-1, 1]}},
            "phase_noise_linewidth uniform(-1, 1) is not allowed: it has to be a number of Hz from 0 to 1,000,000,000",
        ),
    ],
)
def test_what_an_impairment_does_not_take_is_refused_in_a_sentence(fields, told):
    with pytest.raises(AmcError) as refusal:
        Scenario(**fields)
    assert told in str(refusal.value)
