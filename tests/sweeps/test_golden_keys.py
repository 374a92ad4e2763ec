"""The keys of all shipped studies, as they were when `identity.VERSION` was last raised (see test_golden.py)."""

from pathlib import Path

import pytest

from amc_core.identity import joint_key
from sweeps.study import SHIPPED, load_study

FILE = Path(__file__).with_name("golden_keys.json")
NAMES = [path.stem for path in sorted(SHIPPED.glob("*.yaml")) if "recording:" not in path.read_text()]


def digest(name: str) -> str:
    """Of all keys of runs and cells of a study; of a search, of the proposals at the ends of its dimensions."""
    study = load_study(name, "smoke")
    parts = getattr(study, "ends", [study])
    keys = {key for part in parts for run in part.runs() for key in (run.key, *map(run.cell_key, part.tests(run)))}
    return joint_key(*sorted(keys))


@pytest.fixture(scope="module")
def today():
    return {name: digest(name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_golden_keys_of_a_shipped_study_are_the_same(name, today, golden):
    expected = golden(FILE, today)
    assert today[name] == expected.get(name), (
        f"{name} names runs or cells with other keys: if the study changed, pytest -k golden --write-golden; "
        "else raise VERSION in amc_core/identity.py, or mend the change"
    )
