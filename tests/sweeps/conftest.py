"""A small search, and an empty store."""

import time
from types import SimpleNamespace

import pytest

from sweeps.engine import ending, feed
from sweeps.store import Store
from tests.sweeps.searching import RATE


@pytest.fixture
def search_file(study_file):
    """Writes a search of a few seconds, with `changes` put in, and returns its path."""

    def write(name: str = "searched", **changes: str) -> str:
        usual = {
            "instances": "10",
            "snr_db": "[18]",
            "models": "mod_lcnn",
            "recipe": RATE,
            "train": "{channel: awgn}",
            "test": "{channel: [awgn, rician], upsampling: [4, 8]}",
            "search": "{proposals: 4}",
        }
        return study_file(name, **(usual | changes))

    return write


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def clock(monkeypatch):
    """A clock of a launch that stands still, and goes on by `clock.now += seconds`."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

        time = monotonic

    stopped = Clock()
    for module in (ending, feed):
        monkeypatch.setattr(module, "time", stopped)
    return stopped


@pytest.fixture
def replace_sleep(monkeypatch):
    """Lets one module sleep in another way: `time.sleep` itself is called by other threads, too."""

    def replace(module, sleep):
        monkeypatch.setattr(module, "time", SimpleNamespace(**vars(time) | {"sleep": sleep}))

    return replace
