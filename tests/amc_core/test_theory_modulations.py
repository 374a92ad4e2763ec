"""Modulations and pulses against closed forms, end to end; `theory` tells the tolerances."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from scipy.io import wavfile

from amc_core import Scenario, Simulator, simulate
from amc_core.constellations import CONSTELLATIONS
from amc_core.cumulants import CUMULANTS, cumulants
from amc_core.pulses import gaussian_phase, pulse_span, raised_cosine, root_raised_cosine
from amc_core.scenario import AUGMOD, Distribution
from tests.amc_core.theory import (
    ALL,
    ANALOGUE,
    CPM,
    LATE,
    LINEAR,
    around,
    closed_form,
    error_db,
    power_spectrum,
    run,
    with_the_draws_of,
)

# --- Linear modulations: cumulants and error rates ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "rolloff"),
    [(name, 0.35) for name in LINEAR if name != "OQPSK"] + [("64QAM", 0.0), ("64QAM", 1.0)],
)
def test_cumulants_at_one_sample_a_symbol_converge_to_those_of_the_constellation(name, rolloff):
    """Within five standard errors, found from 64 parts of the 65,536 symbols; 10⁻⁴ is for float32."""
    scenario = Scenario(upsampling=1, rolloff=rolloff)
    instance = simulate(scenario, name, math.inf, [0], length=1 << 16)[0].to(torch.complex128)
    exact = cumulants(torch.tensor(CONSTELLATIONS[name]))
    parts = cumulants(instance.view(64, -1))
    standard_error = (parts - parts.mean(0)).abs().square().mean(0).sqrt() / 8
    error = (cumulants(instance) - exact).abs()
    assert torch.all(error < 5 * standard_error + 1e-4), dict(zip(CUMULANTS, error.tolist(), strict=True))


def error_rate_psk(order: int, snr: float) -> float:
    """Symbol error rate of M-PSK at Es/N0 = snr: (1/π)∫ exp(−snr·sin²(π/M)/sin²θ) dθ over 0 … π − π/M (Craig)."""
    distance = math.sin(math.pi / order) ** 2
    value, _ = integrate.quad(lambda x: math.exp(-snr * distance / math.sin(x) ** 2), 0, math.pi - math.pi / order)
    return value / math.pi


def error_rate_qam(order: int, snr: float) -> float:
    """Symbol error rate of square M-QAM at Es/N0 = snr: 1 − (1 − 2(1 − 1/√M)·Q(√(3 snr/(M − 1))))²."""
    return 1 - (1 - 2 * (1 - order**-0.5) * stats.norm.sf(math.sqrt(3 * snr / (order - 1)))) ** 2


@pytest.mark.parametrize(
    ("name", "upsampling", "theory", "symbol_snrs_db"),
    [
        ("BPSK", 8, lambda snr: stats.norm.sf(math.sqrt(2 * snr)), (0, 4, 7)),
        ("QPSK", 2, lambda snr: error_rate_qam(4, snr), (3, 7, 10)),
        ("8PSK", 3.2, lambda snr: error_rate_psk(8, snr), (8, 12, 15)),
        ("16QAM", 4, lambda snr: error_rate_qam(16, snr), (10, 14, 17)),
        ("64QAM", 10.67, lambda snr: error_rate_qam(64, snr), (16, 20, 23)),
    ],
    ids=["BPSK", "QPSK", "8PSK", "16QAM", "64QAM"],
)
def test_symbol_error_rates_after_a_matched_filter_are_the_textbook_ones(name, upsampling, theory, symbol_snrs_db):
    """Inside the central 99.9 % of the binomial distribution, over 74,000 symbols a point.

    A root raised cosine h of unit energy, ∫h² dt = 1 with t in symbols, has (1/L) Σ_n h(n/L − x)² = 1 at any x, as
    its square is band-limited; symbols of power 1 so make samples of power P = 1. Noise has power N = P/SNR a complex
    sample. The matched filter y_k = (1/L) Σ_n r_n h(n/L − k) gives a_k, and noise of power N/L: Es/N0 = L·SNR.
    """
    scenario = Scenario(upsampling=upsampling, pulse="root_raised_cosine", rolloff=0.35)
    ratio = float(scenario.samples_per_symbol)
    snrs_db = [snr - 10 * math.log10(ratio) for snr in symbol_snrs_db]
    length = round(512 * ratio)
    simulator = Simulator(scenario, [name], [math.inf, *snrs_db], length)
    instants = np.arange(24, 512 - 24)  # the others' filters reach beyond the instance
    matched = root_raised_cosine(np.arange(length)[:, None] / ratio - instants, 0.35) / ratio
    points, index = CONSTELLATIONS[name], torch.arange(160)

    def filtered(received):
        return received.real @ matched + 1j * (received.imag @ matched)

    def decide(values):
        return np.argmin([np.abs(values - point) for point in points], axis=0)

    for place, symbol_snr in enumerate(symbol_snrs_db, 1):
        simulator.keys[:, 0] = simulator.keys[:, place]
        clean, noisy = run(simulator, index, snr=0), run(simulator, index, snr=place)
        clean_symbols = filtered(clean)
        power = (np.abs(clean_symbols) ** 2).mean(1, keepdims=True)
        sent = decide(clean_symbols / np.sqrt(power))
        amplitude = np.sqrt((np.abs(points[sent]) ** 2).mean(1, keepdims=True) / power)
        assert np.abs(clean_symbols * amplitude - points[sent]).max() < 0.02  # two roots in a row do not interfere
        gain = (noisy * clean.conj()).sum(1).real / (np.abs(clean) ** 2).sum(1)  # an ideal gain control
        wrong = np.sum(decide(filtered(noisy) / gain[:, None] * amplitude) != sent)
        rate = theory(10 ** (symbol_snr / 10))
        low, high = stats.binom.interval(0.999, sent.size, rate)
        assert low <= wrong <= high, (symbol_snr, wrong / sent.size, rate)


# --- Pulses ------------------------------------------------------------------------------------------------------

ROLLOFFS = (0.1, 0.15, 0.25, 0.35, 0.45, 0.5, 0.7, 1.0)


@pytest.mark.parametrize("rolloff", ROLLOFFS)
def test_root_raised_cosine_has_unit_energy_and_twice_in_a_row_is_a_raised_cosine(rolloff):
    """By the sum over samples, exact for a band-limited pulse; ±400 symbols leave 10⁻⁶ of it outside."""
    per_symbol = 8
    t = np.arange(-400 * per_symbol, 400 * per_symbol + 1) / per_symbol
    pulse = root_raised_cosine(t, rolloff)
    assert (pulse**2).sum() / per_symbol == pytest.approx(1, abs=1e-5)
    twice = np.convolve(pulse, pulse, "same") / per_symbol
    near = np.abs(t) <= 20
    assert twice[near] == pytest.approx(raised_cosine(t, rolloff)[near], abs=1e-4)


@pytest.mark.parametrize("rolloff", [0.0, *ROLLOFFS])
def test_root_raised_cosine_is_continuous_at_its_singular_points(rolloff):
    for point in (0.0, 1 / (4 * rolloff)) if rolloff else (0.0,):
        offsets = np.array([-1e-3, -1e-4, -1e-5, -1e-6, -1e-7, -1e-8, 0, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3])
        values = root_raised_cosine(point + offsets, rolloff)
        slope = (values[-1] - values[0]) / 2e-3
        assert values == pytest.approx(values[6] + slope * offsets, abs=2e-5)


@pytest.mark.parametrize("pulse", ["raised_cosine", "root_raised_cosine"])
@pytest.mark.parametrize("rolloff", ROLLOFFS)
def test_less_than_a_hundred_thousandth_of_a_pulse_lies_beyond_its_span(pulse, rolloff):
    shape = {"raised_cosine": raised_cosine, "root_raised_cosine": root_raised_cosine}[pulse]
    t = (np.arange(-2000 * 16, 2000 * 16) + 0.5) / 16
    energy = shape(t, rolloff) ** 2
    assert energy[np.abs(t) > pulse_span(pulse, rolloff)].sum() / energy.sum() < 1e-5


@pytest.mark.parametrize(("bandwidth_time", "span"), [(0.3, 2), (0.35, 2), (0.5, 2)])
def test_the_gaussian_frequency_pulse_is_the_closed_form_of_a_filtered_rectangle(bandwidth_time, span):
    """dq/dt = ½(Φ(t/σ) − Φ((t − 1)/σ)), and its Fourier transform, the rectangle's set apart, is at −3 dB at f = BT."""
    t, step = np.linspace(-4, 5, 9001), 1e-4
    derivative = (gaussian_phase(t + step, bandwidth_time) - gaussian_phase(t - step, bandwidth_time)) / (2 * step)
    sigma = math.sqrt(math.log(2)) / (2 * math.pi * bandwidth_time)
    assert derivative == pytest.approx((stats.norm.cdf(t / sigma) - stats.norm.cdf((t - 1) / sigma)) / 2, abs=1e-6)
    transform = np.abs(np.trapezoid(derivative * np.exp(-2j * np.pi * bandwidth_time * t), t))
    assert (2 * transform / np.sinc(bandwidth_time)) ** 2 == pytest.approx(0.5, abs=1e-4)
    assert gaussian_phase(np.array([-span, 1 + span]), bandwidth_time) == pytest.approx([0, 0.5], abs=1e-5)


# --- Continuous-phase and frequency modulation -------------------------------------------------------------------


@LATE
@pytest.mark.parametrize("name", CPM)
def test_cpm_has_the_frequency_pulse_and_the_modulation_index_of_its_definition(name, varied):
    """Found blindly: the symbols from the frequency's sign mid-symbol, the pulse by least squares on them.

    In cycles a symbol the frequency is Σ a_k h·g(t − k); the area under the pulse is h/2, and the frequency never
    exceeds h/2, the peak deviation, which for GMSK is a quarter of the symbol rate.
    """
    ratio, count = 16, 256
    scenario = Scenario(upsampling=around(ratio) if varied else ratio)
    instance = run(Simulator(scenario, [name], [math.inf], ratio * count), torch.arange(8))
    assert np.abs(instance) == pytest.approx(1, abs=1e-4)
    frequency = np.angle(instance[:, 1:] * instance[:, :-1].conj()) / (2 * np.pi) * ratio
    h, response = CPM[name]
    assert np.abs(frequency).max() == pytest.approx(h / 2, rel=0.01)
    a = np.sign(frequency[:, ratio // 2 :: ratio])  # symbol k is the one that lasts from k to k + 1
    grid = frequency[:, : ratio * (count - 1)].reshape(8, count - 1, ratio)[:, 2:-2]
    neighbours = np.stack([a[:, 2 - lag : 2 - lag + grid.shape[1]] for lag in (-2, -1, 0, 1, 2)], 2)
    pulse, *_ = np.linalg.lstsq(neighbours.reshape(-1, 5), grid.reshape(-1, ratio), rcond=None)
    t = np.add.outer(np.arange(-2, 3), np.arange(ratio) / ratio)
    expected = h * (response(t + 1 / ratio) - response(t)) * ratio
    assert pulse == pytest.approx(expected, abs=2e-3 * h)
    assert pulse.mean(1).sum() == pytest.approx(h / 2, rel=2e-3)


@pytest.mark.parametrize(("name", "deviation"), [("FM", 5e3), ("B-FM", 75e3)])
def test_frequency_modulations_have_the_deviation_of_their_definition(name, deviation):
    """Their frequency is `deviation` times (emphasised) audio of rms 0.3: 1.5 kHz and 22.5 kHz.

    Over 20 ms, half the instances at least have that rms to 1 %; unvoiced ones beat, and the mean square over
    instances is within five standard errors. Instances that begin in a pause are left out.
    """
    frequency = demodulated(name, 200e3 if name == "FM" else 600e3, 0.02)
    square = (frequency**2).mean(1) / (0.3 * deviation) ** 2
    assert np.median(square) == pytest.approx(1, abs=0.02)
    assert square.mean() == pytest.approx(1, abs=5 * square.std() / math.sqrt(len(square)))


@LATE
@pytest.mark.parametrize(("name", "emphasis"), [("FM", 0.0), ("B-FM", 75e-6)])
@pytest.mark.parametrize("pauses", [False, True], ids=["speech", "pause_then_speech"])
def test_the_frequency_is_the_message_that_amplitude_modulation_carries(name, emphasis, varied, pauses):
    """f(t) ∝ m(t) + T·dm/dt, with m(t) from AM-DSB-SC on the same source, to −40 dB: emphasis by 1 + j2πfT."""
    rate, duration = 600e3, 0.01
    frequency = demodulated(name, rate, duration, varied, pauses)
    message = demodulated(name, rate, duration, varied, pauses, through="AM-DSB-SC")
    slope = np.zeros_like(message)
    slope[:, 2:-2] = (8 * (message[:, 3:-1] - message[:, 1:-3]) - message[:, 4:] + message[:, :-4]) / 12 * rate
    expected = message + emphasis * slope
    expected = (expected[:, 1:] + expected[:, :-1])[:, 4:-4] / 2  # a phase difference lies between two samples
    assert error_db(frequency[:, 4:-4], expected) < -40


def demodulated(
    name: str, sample_rate: float, duration: float, varied: bool = False, pauses: bool = False, through: str = ""
) -> np.ndarray:
    """The frequency in Hz of those of 64 instances that (do not) begin in a pause, or the message as `through` has it.

    An instance of AM-DSB-SC is 0 as long as its message is.
    """
    scenario = Scenario(sample_rate=sample_rate, timing_offset=around(0.0) if varied else 0.0)
    length, index = round(duration * sample_rate), torch.arange(64)
    simulator, message = (Simulator(scenario, [x], [math.inf], length) for x in (name, "AM-DSB-SC"))
    message = run(with_the_draws_of(simulator, message), index)
    silent = np.abs(message[:, :8]).max(1) < 1e-3
    if through:
        return message[silent == pauses].real
    instance = run(simulator, index)[silent == pauses]
    assert np.abs(instance) == pytest.approx(1, abs=1e-4)
    return np.angle(instance[:, 1:] * instance[:, :-1].conj()) / (2 * np.pi) * sample_rate


# --- Amplitude modulation ----------------------------------------------------------------------------------------


def amplitude_modulation(name: str, sample_rate: float, varied: bool = False) -> np.ndarray:
    """Those of 32 instances of 80 ms that do not begin in a pause, moved from the intermediate frequency to 0 Hz."""
    scenario = Scenario(sample_rate=sample_rate, timing_offset=around(0.0) if varied else 0.0)
    instance = run(Simulator(scenario, [name], [math.inf], int(0.08 * sample_rate)), torch.arange(32))
    frequency = min(50e3, sample_rate / 4) if name in ("DSB-AM", "SSB-AM") else 0.0
    instance = instance * np.exp(-2j * np.pi * frequency * np.arange(instance.shape[1]) / sample_rate)
    return instance[np.abs(instance[:, 1:8] - instance[:, :1]).max(1) > 2e-3]


@pytest.mark.parametrize(
    ("sample_rate", "varied"), [(200e3, False), (200e3, True), (600e3, False), (150e3, False)], ids=str
)
@pytest.mark.parametrize("name", ["SSB-AM", "AM-SSB-SC", "AM-SSB-WC"])
def test_the_lower_sideband_is_40_db_down(name, sample_rate, varied):
    """The audio's lines lie from 80 Hz to 11 kHz. In fact they are 60 dB down."""
    f, power = power_spectrum(amplitude_modulation(name, sample_rate, varied), sample_rate)
    upper, lower = power[(f > 40) & (f < 12e3)].sum(), power[f < -40].sum()
    assert upper > 0.1 and lower < 1e-6 * upper
    if name != "AM-SSB-WC":
        assert power[np.abs(f) < 40].sum() < 1e-4 * upper  # no carrier


@LATE
@pytest.mark.parametrize("name", ["DSB-AM", "AM-DSB-SC", "AM-DSB-WC"])
def test_double_sideband_is_real_on_its_carrier_and_so_its_spectrum_is_symmetric(name, varied):
    instance = amplitude_modulation(name, 200e3, varied)
    assert (instance.imag**2).sum() < 1e-8 * (instance.real**2).sum()
    f, power = power_spectrum(instance, 200e3)
    upper, lower = power[(f > 40) & (f < 12e3)].sum(), power[(f < -40) & (f > -12e3)].sum()
    assert upper == pytest.approx(lower, rel=1e-3)
    if name != "AM-DSB-WC":
        assert power[np.abs(f) < 40].sum() < 1e-4 * upper


@pytest.mark.parametrize(("name", "sidebands"), [("AM-DSB-WC", 0.3**2), ("AM-SSB-WC", 2 * 0.3**2)])
def test_a_carrier_of_1_stands_beside_audio_of_rms_0_3(name, sidebands):
    """10.5 dB over two sidebands; m(t) and its Hilbert transform together have twice the power, 7.4 dB.

    Half the instances at least are voiced, with lines that 80 ms tell apart; the others beat about their mean power.
    """
    instance = amplitude_modulation(name, 200e3)
    f = np.fft.fftfreq(instance.shape[1], 1 / 200e3)
    power = np.abs(np.fft.fft(instance * np.blackman(len(f)))) ** 2
    measured = power[:, np.abs(f) > 40].sum(1) / power[:, np.abs(f) < 40].sum(1)
    assert np.median(measured) == pytest.approx(sidebands, rel=0.01)
    assert measured.mean() == pytest.approx(sidebands, abs=5 * measured.std() / math.sqrt(len(measured)))


# --- Audio from a file -------------------------------------------------------------------------------------------


def tones(path, *frequencies: float) -> str:
    """A WAV file of one second at 48 kHz."""
    t = np.arange(48_000)[:, None] / 48e3
    wave = np.sin(2 * np.pi * t * np.array(frequencies)).sum(1)
    wavfile.write(path, 48_000, (wave * 30_000 / len(frequencies)).astype(np.int16))
    return str(path)


def test_a_wav_file_s_highest_frequencies_leave_no_image_in_the_lower_sideband(tmp_path):
    scenario = Scenario(audio=tones(tmp_path / "two.wav", 1e3, 14.5e3))
    f, power = power_spectrum(simulate(scenario, "AM-SSB-SC", math.inf, range(8), 8000).numpy(), 200e3)
    assert power[f < -100].sum() < 1e-4 * power[f > 100].sum()


@pytest.mark.parametrize(("name", "deviation"), [("FM", 5e3), ("B-FM", 75e3)])
@pytest.mark.parametrize("tone", [500.0, 3e3, 8e3])
def test_a_wav_file_s_tone_has_the_deviation_of_the_definition_at_any_pitch(tmp_path, name, deviation, tone):
    """The rms of the frequency is 0.3 of the deviation, before as after emphasis, to 1 %."""
    scenario = Scenario(audio=tones(tmp_path / "one.wav", tone), sample_rate=600e3)
    instance = simulate(scenario, name, math.inf, range(8), 24_000).numpy().astype(complex)
    frequency = np.angle(instance[:, 1:] * instance[:, :-1].conj()) / (2 * np.pi) * 600e3
    assert math.sqrt((frequency**2).mean()) == pytest.approx(0.3 * deviation, rel=0.01)


# --- Pulse trains ------------------------------------------------------------------------------------------------

SETTINGS = {
    "augmod": AUGMOD,
    "log_uniform_L": Scenario(upsampling=Distribution("log_uniform", 1.5, 30), rolloff=0.25, timing_offset=0.4),
    "rolloffs": Scenario(upsampling=8, rolloff=Distribution("uniform", 0.05, 1)),
    "roots": Scenario(
        upsampling=Distribution("uniform", 2, 5),
        rolloff=Distribution("uniform", 0.1, 0.5),
        pulse="root_raised_cosine",
        timing_offset=Distribution("uniform", -2, 2),
        sample_rate_offset=Distribution("uniform", -200, 200),
    ),
    "fixed_roots": Scenario(upsampling=10.67, rolloff=0.15, pulse="root_raised_cosine", timing_offset=-0.3),
}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", ["16QAM", "OQPSK", *CPM])
def test_every_pulse_train_is_its_sum_over_symbols(name, setting):
    """Σ a_k g(t − k) at the drawn L, α and τ, to −60 dB; the common phase is not fitted."""
    scenario = dataclasses.replace(SETTINGS[setting], phase_offset=0.0)
    simulator = Simulator(scenario, [name], [math.inf], 256)
    index = torch.arange(12)
    assert error_db(run(simulator, index), closed_form(simulator, name, index)) < -60


@pytest.mark.parametrize("name", ALL)
def test_a_very_narrow_distribution_is_a_number(name, upsampling=3.2):
    """To −60 dB; modulations by 75 kHz to −50 dB, as their phase goes through hundreds of radians."""
    fixed = Simulator(Scenario(upsampling=upsampling), [name], [math.inf], 500)
    narrow = Scenario(timing_offset=around(0.0), rolloff=around(0.35), sample_rate_offset=around(0.0))
    varied = Simulator(dataclasses.replace(narrow, upsampling=upsampling), [name], [math.inf], 500)
    with_the_draws_of(fixed, varied)
    index = torch.arange(4)
    a, b = run(fixed, index), run(varied, index)
    if name in ANALOGUE:
        assert error_db(b, a) < (-50 if name == "B-FM" else -60)
        return
    # A train may number its symbols from another one on: it is compared with the sum over its own.
    assert error_db(a, closed_form(fixed, name, index)) < -60
    assert error_db(b, closed_form(varied, name, index)) < -60


@pytest.mark.parametrize("name", ["16QAM", "CPFSK"])
def test_a_rounded_third_beside_a_distribution_is_still_that_third(name):
    """10.67 means 32/3 samples a symbol: over 1024 samples, 10.67 itself would be 0.03 symbols off."""
    scenario = Scenario(upsampling=10.67, timing_offset=Distribution("uniform", 0, 1))
    simulator = Simulator(scenario, [name], [math.inf])
    index = torch.arange(8)
    assert error_db(run(simulator, index), closed_form(simulator, name, index)) < -60
