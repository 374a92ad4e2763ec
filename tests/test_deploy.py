"""Files by which others start a sweep: a Kubernetes operator, an image."""

import importlib.metadata
import re
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from tests.needs import needs_package

ROOT = Path(__file__).parents[1]
JOB = yaml.safe_load((ROOT / "deploy" / "rayjob.yaml").read_text())
CLUSTER = JOB["spec"]["rayClusterSpec"]
GROUPS = [CLUSTER["headGroupSpec"], *CLUSTER["workerGroupSpecs"]]


def names(text: str) -> list[str]:
    return text.split()


def mapping(required: str = "", **fields: dict) -> dict:
    """A schema of a mapping with these fields and no others."""
    return {"type": "object", "properties": fields, "required": names(required), "additionalProperties": False}


def sequence(items: dict) -> dict:
    return {"type": "array", "items": items, "minItems": 1}


TEXT, WHOLE, TRUTH = ({"type": name} for name in ("string", "integer", "boolean"))
QUANTITY = {"type": ["integer", "string"], "pattern": r"^\d+(\.\d+)?(m|[KMGT]i?)?$"}
OF = {"type": "object", "additionalProperties": QUANTITY}
POD = mapping(
    "spec",
    metadata={"type": "object"},
    spec=mapping(
        "containers",
        containers=sequence(
            mapping(
                "name",
                name={"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"},
                image=TEXT,
                env=sequence(mapping("name", name=TEXT, value=TEXT)),
                resources=mapping(limits=OF, requests=OF),
                volumeMounts=sequence(mapping("name mountPath", name=TEXT, mountPath=TEXT, readOnly=TRUTH)),
            )
        ),
        volumes=sequence(
            mapping(
                "name",
                name=TEXT,
                persistentVolumeClaim=mapping("claimName", claimName=TEXT, readOnly=TRUTH),
            )
        ),
        nodeSelector={"type": "object"},
        tolerations={"type": "array"},
    ),
)
STARTED = {"type": "object", "additionalProperties": TEXT}
# What the operator's definition of ray.io/v1 RayJob (KubeRay 1.6) says of the fields that a job of ours may have.
RAY_JOB = mapping(
    "apiVersion kind metadata spec",
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata={"type": "object", "properties": {"name": {"type": "string", "maxLength": 47}}, "required": ["name"]},
    spec=mapping(
        "entrypoint rayClusterSpec",
        entrypoint=TEXT,
        shutdownAfterJobFinishes=TRUTH,
        ttlSecondsAfterFinished=WHOLE,
        activeDeadlineSeconds=WHOLE,
        backoffLimit=WHOLE,
        suspend=TRUTH,
        submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]},
        rayClusterSpec=mapping(
            "headGroupSpec",
            rayVersion=TEXT,
            enableInTreeAutoscaling=TRUTH,
            authOptions=mapping(mode={"enum": ["disabled", "token"]}),
            headGroupSpec=mapping("template", rayStartParams=STARTED, serviceType=TEXT, template=POD),
            workerGroupSpecs=sequence(
                mapping(
                    "groupName maxReplicas minReplicas template",
                    groupName=TEXT,
                    replicas=WHOLE,
                    minReplicas=WHOLE,
                    maxReplicas=WHOLE,
                    numOfHosts=WHOLE,
                    rayStartParams=STARTED,
                    template=POD,
                )
            ),
        ),
    ),
)


def complaints(job: dict) -> list[str]:
    jsonschema = needs_package("jsonschema")
    errors = jsonschema.Draft202012Validator(RAY_JOB).iter_errors(job)
    return [f"{error.json_path}: {error.message}" for error in errors]


def test_the_ray_job_is_one_that_the_operator_takes():
    assert complaints(JOB) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("backOffLimit",), 3),
        (("backoffLimit",), "3"),
        (("rayClusterSpec", "headGroupSpec", "rayStartParams"), {"num-cpus": 0}),
        (("rayClusterSpec", "headGroupSpec", "replicas"), 1),
        (("rayClusterSpec", "workerGroupSpecs", 0, "maxReplicas"), None),
        (("rayClusterSpec", "workerGroupSpecs", 0, "template", "spec", "containers", 0, "volumes"), []),
    ],
)
def test_a_misspelt_or_mistyped_field_would_be_told(path, value):
    job = yaml.safe_load((ROOT / "deploy" / "rayjob.yaml").read_text())
    inner = job["spec"]
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    assert complaints(job)


def test_the_ray_job_runs_a_study_in_containers_that_mount_its_volumes():
    command, *options = JOB["spec"]["entrypoint"].split()
    assert (command, options[0]) == ("amc", "run")
    for group in GROUPS:
        pod = group["template"]["spec"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
            assert container["image"] and set(mounts) <= volumes
            assert all(path.startswith(f"{mounts['store']}/") for path in options if path.startswith("/"))
    assert all(group["minReplicas"] <= group["replicas"] <= group["maxReplicas"] for group in GROUPS[1:])


def test_the_environment_of_ray_is_that_of_cluster_yaml():
    [command] = [line for line in cluster_yaml()["head_start_ray_commands"] if "export" in line]
    exported = dict(re.findall(r"(RAY_\w+)=(\w+)", command))
    assert exported.pop("RAY_AUTH_MODE") == CLUSTER["authOptions"]["mode"]
    for group in GROUPS:
        for container in group["template"]["spec"]["containers"]:
            assert {entry["name"]: entry["value"] for entry in container["env"]} == exported


def cluster_yaml() -> dict:
    return yaml.safe_load((ROOT / "cluster.yaml").read_text())


def test_all_files_name_one_version_of_ray_and_it_is_one_that_the_package_takes():
    dockerfile = (ROOT / "Dockerfile").read_text()
    [version] = re.findall(r'"ray\[default,tune\]==([\d.]+)"', dockerfile)
    assert CLUSTER["rayVersion"] == version
    assert any(f"'ray[default,tune]=={version}'" in line for line in cluster_yaml()["setup_commands"])
    needed = {need.name: need.specifier for need in map(Requirement, importlib.metadata.requires("amc-sweeps"))}
    assert version in needed["ray"]
    [torch] = re.findall(r'"torch([<>=.,\d]+)"', dockerfile)
    assert set(torch.split(",")) == set(str(needed["torch"]).split(","))
