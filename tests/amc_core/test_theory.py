"""The simulator against closed forms and known laws, end to end.

Tolerances: numerical ones are stated in dB or relative; statistical ones are four or five standard errors, or a
99.9 % interval. Every draw follows from a fixed address, so a test that passes once passes always.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from scipy.io import wavfile
from scipy.special import exp1, j0

from amc_core import CHANNELS, MODULATION_SETS, MODULATIONS, Channel, Scenario, Simulator, simulate
from amc_core.channels import Fading
from amc_core.constellations import CONSTELLATIONS
from amc_core.cumulants import CUMULANTS, cumulants
from amc_core.impairments import Draws, draw
from amc_core.pulses import gaussian_phase, pulse_span, raised_cosine, rectangular_phase, root_raised_cosine
from amc_core.randomness import SYMBOLS, address_key, integers
from amc_core.scenario import AUGMOD, AUGMOD_OFFSETS, Distribution

ALL = tuple(MODULATIONS)
LINEAR = tuple(CONSTELLATIONS)
CPM = {  # modulation index h and phase response
    "CPFSK": (0.5, rectangular_phase),
    "GFSK": (1.0, lambda t: gaussian_phase(t, 0.35)),
    "GMSK": (0.5, lambda t: gaussian_phase(t, 0.3)),
}
OTHERS = tuple(name for name in ALL if name not in MODULATION_SETS["complex"])
ANALOGUE = tuple(name for name in ALL if name not in CONSTELLATIONS and name not in CPM)
LATE = pytest.mark.parametrize("varied", [False, True], ids=["fixed_train", "varied_train"])


def around(value: float) -> Distribution:
    """A distribution so narrow that it is a number, but that the simulator treats as a distribution."""
    return Distribution("uniform", value, value + 1e-9)


def run(simulator: Simulator, index: torch.Tensor, modulation: int = 0, snr: int = 0) -> np.ndarray:
    """Instances of one modulation and SNR, (batch, length) complex128."""
    i, q = simulator(torch.full_like(index, modulation), torch.full_like(index, snr), index).double().unbind(1)
    return torch.complex(i, q).numpy()


def with_the_draws_of(other: Simulator, simulator: Simulator) -> Simulator:
    """`simulator` with the keys of `other`: the same symbols, source, fading, offsets and noise."""
    simulator.keys = other.keys[:, :1].expand_as(simulator.keys)
    return simulator


def symbols(simulator: Simulator, index: torch.Tensor, modulation: int = 0):
    """The symbols of a simulator's first SNR: their numbers k (count,) and their labels (batch, count)."""
    train = simulator.families[simulator.family_of[modulation]].train
    sizes = getattr(simulator.families[simulator.family_of[modulation]], "sizes", torch.tensor([2]))
    size = sizes[simulator.kind_of[modulation]]
    keys = simulator.keys[modulation, :1].expand(len(index), 2)
    labels = integers(keys, index, SYMBOLS, train.count, size.expand(len(index)))
    return train.first + np.arange(train.count), labels.numpy()


def drawn(simulator: Simulator, index: torch.Tensor, modulation: int = 0) -> Draws:
    return draw(simulator.scenario, simulator.keys[modulation, :1].expand(len(index), 2), index)


def closed_form(simulator: Simulator, name: str, index: torch.Tensor, delay: float = 0.0) -> np.ndarray:
    """Σ a_k g(t − k) or exp(j2πh Σ a_k q(t − k)), t = n/(L(1 + ppm·10⁻⁶)) − τ − delay·f_s/L, in float64.

    Of the pulse's span, like the simulator; what lies beyond is tested by itself.
    """
    scenario, draws = simulator.scenario, drawn(simulator, index)
    k, labels = symbols(simulator, index)
    per_symbol = draws["upsampling"]
    if not isinstance(scenario.upsampling, Distribution):
        per_symbol = np.full(len(index), float(scenario.samples_per_symbol))
    out = []
    for one, (ratio, rolloff, tau, ppm) in enumerate(
        zip(per_symbol, draws["rolloff"], draws["timing_offset"], draws["sample_rate_offset"], strict=True)
    ):
        t = np.arange(simulator.length) / (ratio * (1 + ppm * 1e-6)) - tau - delay * scenario.sample_rate / ratio
        t = t[:, None] - k
        if name in CPM:
            h, response = CPM[name]
            out.append(np.exp(2j * np.pi * h * (response(t) @ (1.0 - 2 * labels[one]))))
            continue
        lowest = scenario.rolloff.low if isinstance(scenario.rolloff, Distribution) else scenario.rolloff
        span = pulse_span(scenario.pulse, lowest)
        shape = {"raised_cosine": raised_cosine, "root_raised_cosine": root_raised_cosine}[scenario.pulse]
        points = CONSTELLATIONS[name][labels[one]]
        i, q = (np.where(np.abs(x) <= span, shape(x, rolloff), 0) for x in (t, t - 0.5 * (name == "OQPSK")))
        out.append(i @ points.real + 1j * (q @ points.imag))
    return np.array(out)


def error_db(signal: np.ndarray, reference: np.ndarray) -> float:
    """The power of what is left of `signal` beside a positive multiple of `reference`, the worst row, in dB."""
    gain = (reference.conj() * signal).sum(-1).real / (np.abs(reference) ** 2).sum(-1)
    assert np.all(gain > 0)
    residual = (np.abs(signal - gain[..., None] * reference) ** 2).mean(-1) / (np.abs(signal) ** 2).mean(-1)
    return 10 * math.log10(residual.max() + 1e-30)


def power_spectrum(instances: np.ndarray, sample_rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies in Hz and mean power under a Blackman window, whose main lobe is 3 bins to either side."""
    length = instances.shape[1]
    window = np.blackman(length) / math.sqrt(length * (np.blackman(length) ** 2).sum())
    return np.fft.fftfreq(length, 1 / sample_rate), (np.abs(np.fft.fft(instances * window)) ** 2).mean(0)


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


# --- Noise -------------------------------------------------------------------------------------------------------

IMPAIRED = Scenario(**AUGMOD_OFFSETS.as_dict() | {"channel": "rician", "sample_rate_offset": {"uniform": [-50, 50]}})


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
    return draw(scenario, torch.tensor([address_key("theory")]).expand(count, 2), torch.arange(count))


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
        drawn = fading(torch.tensor([address_key(key)]).expand(count, 2), torch.arange(count))[..., 0].double()
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
