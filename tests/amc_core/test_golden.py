"""Random words and samples of some thirty addresses, as they were when `identity.VERSION` was last raised.

    pytest -k golden --write-golden

writes the values anew, here and of the studies' keys.
"""

import math
from pathlib import Path

import pytest
import torch

from amc_core import MODULATIONS, Scenario, kernels
from amc_core.identity import stream
from amc_core.instances import Instances
from amc_core.randomness import SYMBOLS, words
from amc_core.run import Dataset
from amc_core.scenario import AUGMOD_OFFSETS, Mixture
from amc_core.simulator import Simulator

FILE = Path(__file__).with_name("golden.json")
MEND = "the same address gives {}: raise VERSION in amc_core/identity.py, or mend the change"
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
}


def words_and_samples(simulator: Simulator) -> dict:
    keys, index = simulator.keys[0, :1].expand(len(INDEX), 2), torch.tensor(INDEX)
    numbers = [words(keys, index, number, 4).flatten().tolist() for number in (SYMBOLS, stream("rolloff"))]
    zeros = torch.zeros_like(index)
    return {"words": [*numbers[0], *numbers[1]], "samples": rounded(simulator(zeros, zeros, index))}


def rounded(instances: torch.Tensor) -> list[float]:
    return [round(value, 6) for value in instances[:, :, SAMPLES].flatten().tolist()]


@pytest.fixture(scope="module", params=["with kernels", "without kernels"])
def today(request):
    """The values of today, name → words and samples."""
    kernels_of_today = kernels.library
    if request.param == "without kernels":
        kernels.library = lambda: None
    try:
        values = {
            name: words_and_samples(Simulator(scenario, [modulation], [10.0], LENGTH, seed=7))
            for name, (scenario, modulation) in SETTINGS.items()
        }
        mixture = Mixture((Scenario(), Scenario("rayleigh", rolloff={"uniform": [0.1, 0.5]})), (1, 3))
        mixed = Instances(Dataset(mixture, ("BPSK", "FM"), (0.0, math.inf), 20, LENGTH), "test")
        [(x, _, _)] = mixed.batches(torch.arange(len(mixed)), len(mixed))
        return values | {"mixture": {"words": [], "samples": rounded(x)}}
    finally:
        kernels.library = kernels_of_today


def test_golden_words_are_the_same(today, golden):
    expected = golden(FILE, today)
    assert set(expected) == set(today), "addresses were added or dropped: pytest -k golden --write-golden"
    for name, values in today.items():
        assert values["words"] == expected[name]["words"], f"{name}: {MEND.format('other random words')}"


def test_golden_samples_are_the_same_to_a_hundred_thousandth(today, golden):
    expected = golden(FILE, today)
    for name, values in today.items():
        assert values["samples"] == pytest.approx(expected[name]["samples"], abs=1e-5), (
            f"{name}: {MEND.format('other samples')}"
        )
