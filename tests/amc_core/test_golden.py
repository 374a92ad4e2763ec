"""Words, samples and defaults that keys stand for, as they were when `identity.VERSION` was last raised.

    pytest -k golden --write-golden

writes the values anew, here and of the studies' keys.
"""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from amc_core import MODULATIONS, Scenario, kernels
from amc_core.augmentation import Augmentation
from amc_core.fields import Field, fields_of, plain
from amc_core.front_end import OwnFunction, front_end
from amc_core.identity import canonical, stream
from amc_core.instances import Instances
from amc_core.models import MODELS
from amc_core.randomness import SYMBOLS, words
from amc_core.run import Dataset, Recipe
from amc_core.scenario import AUGMOD_OFFSETS, SCENARIO_FIELDS, Channel, Mixture
from amc_core.simulator import Simulator

FILE, DEFAULTS = (Path(__file__).with_name(name) for name in ("golden.json", "golden_defaults.json"))
MEND = "the same address gives {}: raise VERSION in amc_core/identity.py, or mend the change"
ANEW = "were added or dropped: pytest -k golden --write-golden"
INDEX = (0, 1 << 40)
LENGTH, SAMPLES = 256, [0, 1, 100, 255]

OWN = {"name": "own", "path_delays": [0, 2e-6], "path_gains_db": [0, -6], "max_doppler": 50, "k_factor": 2}
SETTINGS = {
    **{f"awgn, {name}": (Scenario(), name) for name in MODULATIONS},
    **{channel: (Scenario(channel, "32/3"), "16QAM") for channel in ("rayleigh", "rician", "rayleigh_2")},
    "channel of one's own": (Scenario(OWN, 3.2), "GMSK"),
    "root raised cosine": (Scenario(pulse="root_raised_cosine", rolloff=0.2), "OQPSK"),
    "fixed offsets": (
        Scenario(timing_offset=0.3, phase_offset=1, carrier_offset=500, sample_rate_offset=20),
        "8PSK",
    ),
    "uniform": (Scenario(rolloff={"uniform": [0.1, 0.5]}), "QPSK"),
    "log-uniform": (Scenario(upsampling={"log_uniform": [2, 16]}), "QPSK"),
    "signed log-uniform": (Scenario(relative_carrier_offset={"signed_log_uniform": [1e-4, 0.1]}), "QPSK"),
    "reciprocal-uniform": (Scenario("rician", {"reciprocal_uniform": [2, 8]}), "SSB-AM"),
    "AugMod with offsets": (AUGMOD_OFFSETS, "64QAM"),
    "offset in Hz, drawn": (Scenario(sample_rate=1e5, carrier_offset={"uniform": [-1e3, 1e3]}), "QPSK"),
    "amplifier": (Scenario("rician", amplifier_backoff_db=3, amplifier_smoothness=2), "16QAM"),
    "phase noise": (Scenario(phase_noise_linewidth=200), "QPSK"),
    "impulsive noise": (Scenario(impulsive_index=0.1, impulsive_ratio=0.01), "QPSK"),
    "imbalance": (Scenario(iq_gain_imbalance_db=1, iq_phase_imbalance=0.1, dc_offset_i=0.2, dc_offset_q=-0.1), "8PSK"),
    "converter": (Scenario(clipping_level=1.2, quantiser_bits=6), "16QAM"),
    "converter without clipping": (Scenario(quantiser_bits={"uniform": [4, 8]}), "16QAM"),
    "blind resampling": (Scenario(upsampling=6.4, resample_to=4), "QPSK"),
    "short pulse": (Scenario(pulse_span=4), "QPSK"),
    "SNR on average": (Scenario("rayleigh", snr_reference="average"), "QPSK"),
    **{f"normalised by {law}": (Scenario("rayleigh", normalisation=law), "QPSK") for law in ("energy", "max", "none")},
}
CLIP = """import torch

def clip(iq, uniform, level: float = 1.0):
    return torch.complex(iq.real.clamp(max=level), iq.imag - 0.1 * uniform[:, :1])

clip.draws = 1
"""
AUGMENTED = Recipe(
    augment_rotation="any", augment_flip=True, augment_conjugation=True, augment_noise=0.1, augment_shift=True,
    augment_paste=0.25,
)  # fmt: skip


def with_files(folder: Path) -> dict[str, tuple[Scenario, str]]:
    """The settings that take a file, whose content is the same wherever it lies."""
    tone = np.sin(np.arange(44_100) ** 1.5 / 500) * 20_000
    wavfile.write(folder / "chirp.wav", 44_100, tone.astype(np.int16))
    clipper = front_end(OwnFunction("rx.clip", {"rx.py": CLIP}), {"level": {"uniform": [0.5, 1]}})
    return {
        "audio": (Scenario(audio=str(folder / "chirp.wav")), "FM"),
        "front end": (Scenario(front_end=clipper), "QPSK"),
    }


def recorded(folder: Path, **fields) -> Dataset:
    """A dataset of a recording, of 20 instances of each modulation and SNR, each with its number as its first I."""
    x = np.ones((80, 2, LENGTH), np.float32)
    x[:, :, 1:] = np.cos(np.arange(1, LENGTH) * np.arange(1, 161).reshape(80, 2, 1))
    x[:, 0, 0] = np.arange(80)
    names, snrs = np.array(["BPSK", "QPSK"]).repeat(40), np.tile([0.0, 10.0], 40)
    np.savez(folder / "recording.npz", X=x, Y=names, Z=snrs)
    reading = {"file": str(folder / "recording.npz"), "iq": "X", "label": "Y", "snr_db": "Z"}
    scenario = Scenario(recording=reading, normalisation="none")
    return Dataset(scenario, ("QPSK", "BPSK"), (10.0, 0.0), 20, LENGTH, **fields)


def numbers(instances: Instances) -> list[int]:
    """Which instances of a recording these are."""
    [(x, _, _)] = instances.batches(torch.arange(len(instances)), len(instances))
    return x[:, 0, 0].int().tolist()


def of_parts(folder: Path) -> dict[str, dict]:
    """What a part of a dataset is, by the numbers of its instances and by samples."""
    mixture = Mixture((Scenario(), Scenario("rayleigh", rolloff={"uniform": [0.1, 0.5]})), (1, 3))
    dataset = Dataset(mixture, ("BPSK", "FM"), (0.0, math.inf), 20, LENGTH)
    mixed, labelled = Instances(dataset, "test"), Instances(dataset, "train", fraction=0.25, seed=3)
    [(x, _, _)] = mixed.batches(torch.arange(len(mixed)), len(mixed))
    every = torch.arange(len(labelled))
    [(fresh, _, _)] = labelled.batches(every, len(every), epoch=2)
    augmented = Augmentation(AUGMENTED, dataset, 5)(fresh, *labelled.address(every), 2)
    parts = {
        "mixture": {"words": [], "samples": rounded(x)},
        "labels": {"words": labelled.indices.flatten().tolist(), "samples": []},
        "second epoch, augmented": {"words": [], "samples": rounded(augmented[::8])},
    }
    for split in ("tenths", "amr_benchmark"):
        train, test = (numbers(Instances(recorded(folder, split=split), part)) for part in ("train", "test"))
        parts[f"recording, {split}"] = {"words": train + test, "samples": []}
    return parts


def words_and_samples(simulator: Simulator) -> dict:
    keys, index = simulator.keys[0, :1].expand(len(INDEX), 2), torch.tensor(INDEX)
    numbers = [words(keys, index, number, 4).flatten().tolist() for number in (SYMBOLS, stream("rolloff"))]
    zeros = torch.zeros_like(index)
    return {"words": [*numbers[0], *numbers[1]], "samples": rounded(simulator(zeros, zeros, index))}


def rounded(instances: torch.Tensor) -> list[float]:
    return [round(value, 6) for value in instances[:, :, SAMPLES].flatten().tolist()]


@pytest.fixture(scope="module", params=["with kernels", "without kernels"])
def today(request, tmp_path_factory):
    """The values of today, name → words and samples."""
    kernels_of_today, folder = kernels.library, tmp_path_factory.mktemp("files")
    if request.param == "without kernels":
        kernels.library = lambda: None
    try:
        values = {
            name: words_and_samples(Simulator(scenario, [modulation], [10.0], LENGTH, seed=7))
            for name, (scenario, modulation) in (SETTINGS | with_files(folder)).items()
        }
        return values | of_parts(folder)
    finally:
        kernels.library = kernels_of_today


def test_golden_words_are_the_same(today, golden):
    expected = golden(FILE, today)
    assert set(expected) == set(today), f"addresses {ANEW}"
    for name, values in today.items():
        assert values["words"] == expected[name]["words"], f"{name}: {MEND.format('other random words')}"


def test_golden_samples_are_the_same_to_a_hundred_thousandth(today, golden):
    expected = golden(FILE, today)
    for name, values in today.items():
        assert values["samples"] == pytest.approx(expected[name]["samples"], abs=1e-5), (
            f"{name}: {MEND.format('other samples')}"
        )


def test_golden_addresses_have_every_field_of_a_scenario(tmp_path):
    settings = [scenario for scenario, _ in (SETTINGS | with_files(tmp_path)).values()]
    changed = {name for scenario in settings for name in scenario.definition()}
    assert set(SCENARIO_FIELDS) - changed == {"recording"}, "give a golden address a value of the field"


def test_golden_defaults_are_the_same(golden):
    """Keys leave defaults out, and name what is not: another default or name would be other results of the same key."""
    declared = {cls.__name__: fields_of(cls) for cls in (Scenario, Channel, Dataset, Recipe)}
    declared |= {f"model {name}": spec.hyperparameters for name, spec in MODELS.items()}
    today = {of: {name: default(field) for name, field in fields.items()} for of, fields in declared.items()}
    expected = golden(DEFAULTS, today)
    for of, defaults in expected.items():
        for name, value in defaults.items():
            assert canonical(today.get(of, {}).get(name, "gone")) == canonical(value), (
                f"{of}: {name} has another default or name: raise VERSION in amc_core/identity.py, or mend the change"
            )
    assert expected == today, f"fields {ANEW}"


def default(field: Field):
    return None if field.default is dataclasses.MISSING else plain(field.default)
