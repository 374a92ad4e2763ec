"""Audio: the speech-like source, and WAV files of the user's."""

import math

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from amc_core import AmcError, Scenario, Simulator, simulate
from amc_core.audio import RMS, Recorded, SpeechLike
from amc_core.fingerprint import fingerprint
from amc_core.identity import address_key
from amc_core.instances import Instances
from amc_core.run import Dataset, Run, require_unheard_tests
from amc_core.scenario import Mixture

TIMES = np.arange(400) / 32e3


def keys(count: int):
    return torch.tensor([address_key("audio")]).expand(count, 2), torch.arange(count)


@pytest.fixture
def tone(tmp_path):
    """A 1 kHz tone of half a second, after half a second of silence, at 44.1 kHz."""
    path = tmp_path / "tone.wav"
    t = np.arange(44_100) / 44_100
    wavfile.write(path, 44_100, (np.where(t > 0.5, np.sin(2 * np.pi * 1000 * t), 0) * 20_000).astype(np.int16))
    return str(path)


def test_the_speech_like_source_has_its_rms_and_stays_in_its_band():
    message, _ = SpeechLike(np.arange(3200) / 32e3, 200e3, 0.1).analytic(*keys(400))
    power = (message.numpy().astype(float) ** 2).mean()
    assert 0.75 * RMS**2 < power < RMS**2  # a little less, for the pauses
    spectrum = (np.abs(np.fft.rfft(message.numpy() * np.blackman(3200))) ** 2).mean(0)
    frequency = np.fft.rfftfreq(3200, 1 / 32e3)
    assert spectrum[frequency > 11.5e3].sum() < 1e-6 * spectrum.sum()
    assert spectrum[(frequency > 80) & (frequency < 4000)].sum() > 0.95 * spectrum.sum()  # formants


def test_some_instances_begin_in_a_pause():
    message, _ = SpeechLike(TIMES, 200e3, 400 / 32e3).analytic(*keys(2000))
    silent = (message[:, :8].abs().max(1).values == 0).double().mean().item()
    expected = math.exp(-2 * 8 / 32e3) - math.exp(-2 * 400 / 32e3)  # a pause ends after those, but in the instance
    assert silent == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / 2000))
    assert (message[:, -100:].abs().max(1).values > 0).all()


def test_the_integral_is_that_of_the_message():
    source = SpeechLike(TIMES, 200e3, 1.0)
    message, _ = source.analytic(*keys(64))
    steady = message[:, 0] != 0
    slope = np.gradient(source.integral(*keys(64), emphasis=0.0).numpy().astype(float), 1 / 32e3, axis=1)
    error = np.abs(slope - message.numpy())[steady][:, 2:-2]
    assert np.sqrt((error**2).mean()) < 0.05 * RMS  # what central differences leave of lines up to 8 kHz


def test_a_wav_file_is_heard_where_it_is_not_silent(tone):
    instances = simulate(Scenario(audio=tone), "DSB-AM", math.inf, range(64)).numpy()
    shift = np.exp(-2j * np.pi * 50e3 * np.arange(1024) / 200e3)
    spectrum = (np.abs(np.fft.fft(instances * shift * np.hanning(1024))) ** 2).mean(0)
    frequency = np.fft.fftfreq(1024, 1 / 200e3)
    assert spectrum[np.abs(np.abs(frequency) - 1000) < 500].sum() > 0.95 * spectrum.sum()
    assert len({instance[0] for instance in instances}) > 32  # from different places


def test_single_sideband_of_a_tone_is_one_line(tone):
    instances = simulate(Scenario(audio=tone), "AM-SSB-SC", math.inf, range(64)).numpy()
    steady = instances[np.abs(instances[:, 0]) > 0.5]  # those that do not begin in the silence
    turning = np.angle(steady[:, 1:] * steady[:, :-1].conj()) * 200e3 / (2 * np.pi)
    assert np.median(turning) == pytest.approx(1000, rel=0.01)


def test_frequency_modulation_by_a_tone_swings_by_its_deviation(tone):
    instances = simulate(Scenario(audio=tone), "FM", math.inf, range(64)).numpy()
    frequency = np.angle(instances[:, 1:] * instances[:, :-1].conj()) * 200e3 / (2 * np.pi)
    # The file is silent half the time: while it sounds, the tone's peak is √2 · √2 of the file's rms.
    assert np.abs(frequency).max() == pytest.approx(5e3 * RMS * 2, rel=0.03)


def test_instances_of_a_wav_file_follow_from_their_address(tone):
    simulator = Simulator(Scenario("rician", audio=tone), ["B-FM", "SSB-AM", "QPSK"], [10.0])
    index = torch.arange(30)
    batch = simulator(index % 3, index * 0, index)
    alone = [simulator(index[k : k + 1] % 3, index[:1] * 0, index[k : k + 1]) for k in range(30)]
    assert torch.equal(torch.cat(alone), batch)


def test_the_file_counts_and_not_its_place(tone, tmp_path):
    copy = tmp_path / "copy.wav"
    copy.write_bytes(open(tone, "rb").read())
    assert Scenario(audio=tone).definition() == Scenario(audio=str(copy)).definition() != Scenario().definition()


@pytest.mark.parametrize(
    ("content", "named"),
    [(b"", "WAV"), (b"RIFF\x00\x00", "WAV"), (b"no sound at all", "WAV"), (None, "No such file")],
)
def test_a_file_that_is_no_wav_is_refused(tmp_path, content, named):
    path = tmp_path / "bad.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AmcError, match=named) as refusal:
        Recorded(str(path), TIMES, 200e3)
    assert str(path) in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("samples", "named"), [(np.zeros(44_100, np.int16), "no sound"), (np.arange(100, dtype=np.int16), "lasts")]
)
def test_silence_and_snippets_are_refused(tmp_path, samples, named):
    path = tmp_path / "short.wav"
    wavfile.write(path, 44_100, samples)
    with pytest.raises(AmcError, match=named):
        Recorded(str(path), TIMES, 200e3)


# -- parts of a file: samples tell their position as a frequency ------------------------------------------

COUNT = 20 * 16_000


@pytest.fixture
def siren(tmp_path):
    """20 s at 16 kHz whose frequency rises by 100 Hz a second, from 1 kHz, in steps of a second: it tells the time."""
    path, second = tmp_path / "siren.wav", np.arange(COUNT) // 16_000
    t = np.arange(COUNT) / 16_000
    wavfile.write(path, 16_000, (8000 * np.sin(2 * np.pi * (1000 + 100 * second) * t)).astype(np.int16))
    return str(path)


def heard(scenario, part: str, split: str = "tenths", epoch: int = 0, **changes) -> np.ndarray:
    """The seconds of the siren that a part's instances are from."""
    described = Dataset(scenario, ("AM-DSB-SC",), (math.inf,), 200, **{"length": 4096, "split": split} | changes)
    instances = Instances(described, part)
    [(x, _, _)] = instances.batches(torch.arange(len(instances)), 1000, epoch)
    spectrum = np.abs(np.fft.rfft(x[:, 0].numpy() * np.hanning(described.length), 1 << 18))
    frequency = np.fft.rfftfreq(1 << 18, 1 / 200e3)[spectrum.argmax(1)]
    return (frequency - 1000) / 100


@pytest.mark.parametrize(("split", "ends"), [("tenths", (16, 18)), ("amr_benchmark", (12, 16))])
def test_parts_of_a_dataset_hear_stretches_of_a_file_of_their_own(siren, split, ends):
    bounds = {"train": (0, ends[0]), "validation": ends, "test": (ends[1], 20)}
    for part, (first, last) in bounds.items():
        seconds = heard(Scenario(audio=siren), part, split)
        assert (seconds > first - 0.3).all() and (seconds < last - 0.7).all(), (part, seconds.min(), seconds.max())
        assert len(np.unique(seconds.round())) == last - first  # all of the stretch


def test_fresh_epochs_and_mixtures_hear_what_trains_alone(siren):
    fresh = heard(Scenario(audio=siren), "train", epoch=3)
    assert fresh.max() < 15.5 and (fresh != heard(Scenario(audio=siren), "train")).any()
    mixture = Mixture((Scenario(audio=siren), Scenario(audio=siren, phase_offset=0.1)), (1, 1))
    assert heard(mixture, "train").max() < 15.5 and heard(mixture, "test").min() > 17.5


def test_no_filter_carries_one_stretch_into_another(tmp_path):
    noise = np.random.default_rng(0).normal(0, 3000, 16_000).astype(np.int16)
    messages = []
    for gain in (1.0, 0.0, 3.0):  # of what trains and validates
        path = tmp_path / f"{gain}.wav"
        wavfile.write(path, 16_000, np.concatenate([noise[:14_400] * gain, noise[14_400:]]).astype(np.int16))
        test = Recorded(str(path), TIMES, 200e3, stretch=(9, 10))
        messages.append([*test.analytic(*keys(50)), test.integral(*keys(50), emphasis=75e-6)])
    for first, *others in zip(*messages, strict=True):
        assert all(torch.equal(first, other) for other in others)


def test_a_file_that_is_too_short_for_its_parts_is_refused(tmp_path):
    path = tmp_path / "short.wav"
    wavfile.write(path, 16_000, np.random.default_rng(0).normal(0, 3000, 1600).astype(np.int16))
    simulate(Scenario(audio=str(path)), "DSB-AM", math.inf, [0], length=4096)  # 20 ms, of 100
    described = Dataset(Scenario(audio=str(path)), ("DSB-AM",), (math.inf,), 20, 4096)
    Instances(described, "train")
    with pytest.raises(AmcError, match=r"short\.wav' lasts 0\.01 s from 90 % to 100 %.*an instance needs 0\.02\d* s"):
        Instances(described, "test")


def test_a_file_that_is_silent_in_a_part_is_refused(tmp_path):
    path, noise = tmp_path / "fading.wav", np.random.default_rng(0).normal(0, 3000, 16_000)
    wavfile.write(path, 16_000, np.where(np.arange(16_000) < 14_400, noise, 0).astype(np.int16))
    with pytest.raises(AmcError, match=r"fading\.wav' holds no sound from 90 % to 100 %"):
        Instances(Dataset(Scenario(audio=str(path)), ("FM",), (math.inf,), 20, 1024), "test")


@pytest.mark.parametrize("rate", [0, 1, 999, 10_000_001])
def test_a_file_that_claims_no_rate_of_sound_is_refused_before_it_is_resampled(tmp_path, rate):
    path = tmp_path / "slow.wav"
    wavfile.write(path, rate, np.random.default_rng(0).normal(0, 3000, 16_000).astype(np.int16))
    with pytest.raises(AmcError, match=rf"slow\.wav' has {rate:,} samples a second: 1,000 to 10,000,000 are allowed"):
        simulate(Scenario(audio=str(path)), modulation="FM", snr_db=10, indices=range(2), length=256)


def test_what_trained_in_one_split_is_no_test_in_another(siren):
    def described(split, audio=siren):
        return Dataset(Scenario(audio=audio), ("FM", "BPSK"), (0.0,), 20, 1024, split=split)

    for run, test in (("tenths", "tenths"), ("amr_benchmark", "amr_benchmark"), ("amr_benchmark", "tenths")):
        require_unheard_tests(Run("cnn1d", described(run)), [described(test)])
    parent = Run("cnn1d", described("tenths"))
    child = Run("cnn1d", described("amr_benchmark"), parent=parent)
    require_unheard_tests(child, [described("amr_benchmark", "")])
    for run in (parent, child):
        with pytest.raises(AmcError, match=r"trains up to 90 % .*tests from 80 % .*use the same split for both"):
            require_unheard_tests(run, [described("amr_benchmark")])


def test_runs_that_heard_all_of_a_file_are_other_runs(siren):
    whole = {"audio": fingerprint(siren)}
    assert Scenario(audio=siren).definition() != whole and set(Scenario(audio=siren).definition()) == set(whole)
