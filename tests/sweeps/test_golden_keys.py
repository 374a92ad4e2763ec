"""Keys of shipped studies and of one's own files, as when `identity.VERSION` was last raised (see test_golden.py)."""

from pathlib import Path

import pytest

from amc_core.identity import joint_key
from amc_core.own import OwnModel
from amc_core.run import Dataset, Run
from amc_core.scenario import Scenario
from sweeps.study import SHIPPED, load_study

FILE = Path(__file__).with_name("golden_keys.json")
NAMES = [path.stem for path in sorted(SHIPPED.glob("*.yaml")) if "recording:" not in path.read_text()]
CONTENT = {"path": "lab.npz", "content": "0123456789abcdef01234567"}  # of a file that is not there
MSK = {"MSK": {"cpm": {"levels": 2, "index": 0.5, "pulse": "rectangular", "span": 1}}}
NETWORK = "import torch\n\nclass Net(torch.nn.Module):\n    def __init__(self, classes, length, width: int = 4): ...\n"


def digest(name: str) -> str:
    """Of all keys of runs and cells of a study; of a search, of the proposals at the ends of its dimensions."""
    study = load_study(name, "smoke")
    parts = getattr(study, "ends", [study])
    keys = {key for part in parts for run in part.runs() for key in (run.key, *map(run.cell_key, part.tests(run)))}
    return joint_key(*sorted(keys))


def of_ones_own() -> dict[str, str]:
    """Keys of what depends on files and on code of one's own, by the digests of these."""
    taken = ((0.0, 10.0), 20, 128)
    recorded = Dataset(Scenario(recording=CONTENT), ("BPSK", "QPSK"), *taken)
    told = Scenario(recording=CONTENT | {"reading": {"iq": "X", "label": "Y"}}, normalisation="max")
    net = OwnModel("net.Net", {"net.py": NETWORK})
    return {
        "a recording": recorded.key,
        "a recording, read as told": Dataset(told, ("BPSK", "QPSK"), *taken, split="amr_benchmark").key,
        "a whole recording": Dataset(recorded.scenario, ("BPSK", "QPSK"), *taken, whole=True).key,
        "a modulation of one's own": Dataset(Scenario(), ("BPSK", MSK), *taken).key,
        "a network of one's own": Run(net, recorded, seed=1, hyperparameters={"width": 8}).key,
    }


@pytest.fixture(scope="module")
def today():
    return {name: digest(name) for name in NAMES} | of_ones_own()


@pytest.mark.parametrize("name", [*NAMES, *of_ones_own()])
def test_golden_keys_are_the_same(name, today, golden):
    expected = golden(FILE, today)
    assert today[name] == expected.get(name), (
        f"{name} names runs or cells with other keys: if the study changed, pytest -k golden --write-golden; "
        "else raise VERSION in amc_core/identity.py, or mend the change"
    )
