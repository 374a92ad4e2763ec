"""Files by which others start a sweep: a Kubernetes operator."""

import importlib.metadata
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def test_the_ray_job_names_an_entry_a_cluster_and_volumes_that_its_containers_mount():
    job = yaml.safe_load((ROOT / "deploy" / "rayjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert set(job["spec"]) <= {"entrypoint", "shutdownAfterJobFinishes", "backoffLimit", "rayClusterSpec"}
    assert job["spec"]["entrypoint"].startswith("amc run ")
    cluster = job["spec"]["rayClusterSpec"]
    assert set(cluster) == {"rayVersion", "headGroupSpec", "workerGroupSpecs"}
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        pod = group["template"]["spec"]
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert container["image"] and {mount["name"] for mount in container["volumeMounts"]} <= volumes
    assert all(group["minReplicas"] <= group["replicas"] <= group["maxReplicas"] for group in groups[1:])


def test_the_ray_job_names_a_version_of_ray_that_the_package_takes():
    from packaging.requirements import Requirement

    version = yaml.safe_load((ROOT / "deploy" / "rayjob.yaml").read_text())["spec"]["rayClusterSpec"]["rayVersion"]
    needs = map(Requirement, importlib.metadata.requires("amc-sweeps"))
    [ray] = [need for need in needs if need.name == "ray"]
    assert version in ray.specifier
