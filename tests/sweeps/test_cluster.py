"""Sweeps on a Ray cluster of several nodes, and the file that `ray up` makes one from."""

import os
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from analysis import load
from sweeps.store import Store

ROOT = Path(__file__).parents[2]

# A process of its own has the cluster: Ray keeps what it knows of tokens and addresses for as long as a process lives.
NODES = """
import sys
from ray.cluster_utils import Cluster
memory = {"object_store_memory": 80 << 20}
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **memory})
workers = [cluster.add_node(num_cpus=1, **memory) for _ in range(2)]
print(cluster.address, flush=True)
for line in sys.stdin:
    cluster.remove_node(workers.pop(), allow_graceful=False)
    print("removed", flush=True)
cluster.shutdown()
"""


@pytest.fixture
def nodes(tmp_path_factory, monkeypatch):
    """A head without CPUs and two workers of one CPU each that ask for a token; a line to its input removes a worker."""
    token = tmp_path_factory.mktemp("token") / "auth_token"
    token.write_text("0" * 64)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    with subprocess.Popen(
        [sys.executable, "-c", NODES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        process.address = process.stdout.readline().strip()
        assert process.address
        yield process
        process.stdin.close()


def amc(*arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "sweeps", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def test_a_study_survives_the_loss_of_a_node(nodes, study_file, tmp_path):
    study, store = study_file(models="mod_lcnn", recipe="{epochs: 60, batch_size: 8}", seeds="[0, 1]"), tmp_path / "store"
    driver = amc("run", study, "--store", str(store), "--address", nodes.address)
    deadline = time.monotonic() + 60
    while len(Store(store).training()) < 2:  # each worker has CPUs for one trial, the head for none
        assert driver.poll() is None and time.monotonic() < deadline, driver.communicate()
        time.sleep(0.05)
    assert not Store(store).trained()
    print("two training", time.monotonic())
    nodes.stdin.write("remove\n")
    nodes.stdin.flush()
    assert nodes.stdout.readline() == "removed\n"
    print("removed", time.monotonic())
    output, errors = driver.communicate(timeout=120)
    print("done", time.monotonic())
    assert driver.returncode == 0, errors
    assert "4 runs, 16 cells" in output
    assert len(load("cells", store, study)) == 16 * 2  # at two SNRs
    print(output, errors)
