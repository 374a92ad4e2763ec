"""A study with code, signals, front end and recordings of one's own, from a folder that the worker does not see."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from amc_core import Scenario, simulate
from analysis import load
from benchmarks.faults import ray_cluster, unlike_node

ROOT = Path(__file__).parents[2]
MY8 = {"points": [[1, 0], [0.7, 0.7], [0, 1], [-0.7, 0.7], [-1, 0], [-0.7, -0.7], [0, -1], [0.7, -0.7]]}
NET = """
from torch import nn


class MyNet(nn.Module):
    any_length = True

    def __init__(self, classes, length, width=32):
        super().__init__()
        self.features = nn.Sequential(nn.Conv1d(2, width, 7, padding="same"), nn.ReLU())
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        return self.head(self.features(x).mean(-1))
"""
CLIP = """
import torch


def clip(iq, uniform, level: float = 1.0):
    return torch.complex(iq.real.clamp(-level, level), iq.imag.clamp(-level, level))
"""
STUDY = f"""
code: [my_net.py, my_rx.py]
modulations: [BPSK, QPSK, {{MY8: {MY8}}}, {{4FSK: {{cpm: {{levels: 4, index: 1, pulse: rectangular, span: 1}}}}}}]
snr_db: [0, 10]
instances: 10
length: 128
models: [resnet, {{my_net.MyNet: {{width: [32, 64]}}}}]
recipe: {{epochs: 1, batch_size: 32}}
train: {{channel: rayleigh, iq_gain_imbalance_db: {{uniform: [0, 1]}}, phase_noise_linewidth: 50}}
test:
  - {{front_end: {{my_rx.clip: {{level: [0.5, 1]}}}}}}
  - {{recording: {{file: capture.sigmf-meta}}}}
  - {{recording: {{file: lab.npz, iq: X, label: Y, snr_db: Z, classes: [BPSK, MY8], sample_rate: 1e6}}}}
"""


@pytest.mark.full
def test_a_worker_that_sees_neither_code_nor_recordings_trains_and_tests_what_is_ones_own(amc, tmp_path):
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("mounting is not permitted")
    site, store, cache = tmp_path / "site", tmp_path / "store", tmp_path / "cache"
    site.mkdir()
    for name, text in {"my_net.py": NET, "my_rx.py": CLIP, "own.yaml": STUDY}.items():
        (site / name).write_text(text)
    exported = ("--modulations", "QPSK", "--snr", "10", "--length", "256", "--instances", "6")
    drawn = amc("simulate", "awgn", *exported, "--export", str(tmp_path / "there"), "--to", str(tmp_path / "figures"))
    assert drawn.returncode == 0, drawn.stderr
    for part in ("meta", "data"):
        (tmp_path / "there" / f"QPSK.sigmf-{part}").rename(site / f"capture.sigmf-{part}")
    x = np.concatenate([simulate(Scenario(), name, 10, range(5), 200) for name in ("BPSK", {"MY8": MY8})])
    np.savez(site / "lab.npz", X=np.stack([x.real, x.imag], 1), Y=np.repeat([0, 1], 5), Z=np.full(10, 10.0))
    with ray_cluster(tmp_path / "auth_token", workers=0) as cluster:
        with unlike_node(cluster, f"mount -t tmpfs none {{store}} && export XDG_CACHE_HOME={cache}", site):
            command = [sys.executable, "-m", "sweeps", "run", str(site / "own.yaml"), "--store", str(store)]
            kept = {"cwd": ROOT, "env": cluster.environment, "capture_output": True, "text": True, "timeout": 400}
            done = subprocess.run([*command, "--address", cluster.address], **kept)
    assert done.returncode == 0, done.stderr
    cells = load("cells", store, site / "own.yaml")
    assert len(cells) == 3 * (2 * 2 + 1 + 1)  # a row for each SNR
    of = cells.groupby(cells.test_recording.fillna("").str.split(".").str[0])["n"].agg(["count", "sum"])
    assert of["count"].to_dict() == {"": 12, "capture": 3, "lab": 3}
    assert of["sum"]["capture"] == 3 * 12  # 6 instances of 256 samples, each cut in two
    assert of["sum"]["lab"] == 3 * 10
    assert sorted(path.name for path in cache.glob("amc-sweeps/recordings/*/*")) == [
        "capture.sigmf-data", "capture.sigmf-meta", "lab.npz"
    ]  # fmt: skip
    at = (str(site / "own.yaml"), "--store", str(store))
    assert "Nothing is missing." in amc("plan", *at).stdout
    printed = amc("results", *at)
    assert printed.returncode == 0 and "lab.npz" in printed.stdout and "my_rx.clip" in printed.stdout
