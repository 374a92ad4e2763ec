"""Sweeps on a Ray cluster of several nodes, and the file that `ray up` makes one from."""

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
from benchmarks.faults import UNLIKE, RayCluster, ray_cluster, unlike_node
from sweeps.store import Store

ROOT = Path(__file__).parents[2]


@pytest.fixture
def nodes(tmp_path):
    with ray_cluster(tmp_path / "auth_token", cpus=2, gpus=1) as cluster:
        yield cluster


def amc(nodes: RayCluster, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "sweeps", *arguments, "--address", nodes.address]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, cwd=ROOT, env=nodes.environment, **pipes)


def test_a_study_survives_the_loss_of_a_node(nodes, study_file, tmp_path):
    study = study_file(models="mod_lcnn", recipe="{epochs: 120, batch_size: 8}", seeds="[0, 1]")
    store = tmp_path / "store"
    driver = amc(nodes, "run", study, "--store", str(store), "--gpus-per-trial", "0.6")
    deadline = time.monotonic() + 300
    while len(Store(store).training()) < 2:
        assert driver.poll() is None and time.monotonic() < deadline, driver.communicate()
        time.sleep(0.05)
    time.sleep(1)
    # A worker has CPUs for two trials, and a GPU, which may be feigned, for one.
    assert len(Store(store).training()) == 2
    assert not Store(store).trained()
    nodes.lose_one()
    output, errors = driver.communicate(timeout=400)
    assert driver.returncode == 0, errors
    assert "4 runs, 16 cells" in output
    assert len(load("cells", store, study)) == 16 * 2  # at two SNRs


def test_a_node_that_does_not_see_the_store_is_named_and_gets_no_trials(study_file, tmp_path):
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("mounting is not permitted")
    study, store = study_file(models="hoc_svm", seeds="[0, 1]"), tmp_path / "store"
    with (
        ray_cluster(tmp_path / "auth_token") as cluster,
        unlike_node(cluster, UNLIKE["node blind"], store),
    ):
        output, errors = amc(cluster, "run", study, "--store", str(store)).communicate(timeout=400)
    assert "small is complete" in output, errors
    assert len(load("cells", store, study)) == 16 * 2
    named = [line for line in output.splitlines() if "does not see the driver's store" in line]
    assert len(named) <= 1 and all(line.endswith("it gets no trials") for line in named)  # it may have come too late


# -- cluster.yaml --------------------------------------------------------------------------------------

TEXT = (ROOT / "cluster.yaml").read_text()


@pytest.mark.parametrize("asks", [True, False])
def test_a_head_on_this_machine_is_met_with_the_token_that_ray_keeps_if_it_asks_for_one(tmp_path, study_file, asks):
    """As "auto" meets it, RAY_AUTH_MODE unsaid; a worker would not get through to a driver with a token of its own."""
    study, store = study_file(models="hoc_svm", train="{channel: awgn}"), tmp_path / "store"
    with ray_cluster(tmp_path / "auth_token", asks=asks) as cluster:
        unsaid = {name: value for name, value in cluster.environment.items() if name != "RAY_AUTH_MODE"}
        command = [sys.executable, "-m", "sweeps", "run", study, "--store", str(store), "--address", cluster.address]
        ended = subprocess.run(command, env=unsaid, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0 and "small is complete" in ended.stdout, ended.stderr


PLACES = ("max_workers", "idle_timeout_minutes", "provider", "auth", "available_node_types", "head_node_type")


def cluster_files() -> dict[str, dict]:
    """cluster.yaml as it is, and with the lines that its comments put in the place of those of AWS."""
    files = [yaml.safe_load(TEXT)]
    for block in re.findall(r"(?:^#: .*\n)+", TEXT, re.MULTILINE):
        shared = {key: value for key, value in files[0].items() if key not in (*PLACES, "head_setup_commands")}
        files.append(shared | yaml.safe_load(block.replace("#: ", "")))
    return {file["provider"]["type"]: file for file in files}


def test_the_cluster_file_tells_three_places():
    assert set(cluster_files()) == {"aws", "local", "gcp"}


@pytest.mark.parametrize("place", ["aws", "local", "gcp"])
def test_ray_accepts_the_cluster_file_and_refuses_one_with_a_typing_error(place):
    from jsonschema import ValidationError
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = cluster_files()[place]
    validate_config(prepare_config(config))
    with pytest.raises(ValidationError, match="setup_comands"):
        validate_config(prepare_config(config | {"setup_comands": []}))


@pytest.mark.parametrize("place", ["aws", "local", "gcp"])
def test_no_node_starts_without_a_token_or_opens_its_dashboard_to_the_network(place):
    from ray.autoscaler._private.util import prepare_config

    config = prepare_config(cluster_files()[place])  # with Ray's defaults, which are open
    for role in ("head", "worker"):
        starts = [command for command in config[f"{role}_start_ray_commands"] if "ray start" in command]
        assert len(starts) == 1 and re.search(r"export RAY_AUTH_MODE=token [^;]*; ray start ", starts[0])
        assert "RAY_AUTH_MODE=token" in " ".join(config[f"{role}_setup_commands"])  # what is run by hand has it, too
        assert "chmod 600 ~/.ray/auth_token" in config[f"{role}_setup_commands"]
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert "--dashboard-host=127.0.0.1" in " ".join(config["head_start_ray_commands"])
    assert "0.0.0.0" not in str(config)


@pytest.mark.parametrize("place", ["aws", "local", "gcp"])
def test_nodes_install_a_release_of_ray_that_the_project_allows_and_all_files_of_the_project(place):
    from ray.autoscaler._private.util import prepare_config

    config = prepare_config(cluster_files()[place])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    allowed = next(found for line in project["dependencies"] if (found := Requirement(line)).name == "ray")
    for role in ("head", "worker"):
        commands = " ".join(config[f"{role}_setup_commands"])
        assert "ray-wheels" not in commands  # the development wheel of Ray's defaults
        (pinned,) = (Requirement(found) for found in re.findall(r"ray\[[^']*", commands))
        (version,) = (clause.version for clause in pinned.specifier if clause.operator == "==")
        assert version in allowed.specifier and pinned.extras >= allowed.extras
        (python,) = re.findall(r"--python (3\.\d+)", commands)
        assert python in Requirement(f"python{project['requires-python']}").specifier
    mounted = {local for remote, local in config["file_mounts"].items() if remote.startswith("~/amc-sweeps/")}
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert mounted == {"pyproject.toml", project["readme"], *project["license-files"], *packages}


def test_workers_come_from_none_and_are_spot_machines():
    file = cluster_files()["aws"]
    worker = file["available_node_types"]["gpu"]
    assert worker["min_workers"] == 0 < worker["max_workers"] <= file["max_workers"]
    assert worker["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert file["available_node_types"][file["head_node_type"]]["resources"] == {"CPU": 0}
