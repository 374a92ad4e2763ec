"""The batch files of deploy/ in a Slurm that runs on this machine alone, in a process namespace of its own.

In that, Slurm's daemons and Ray see no process but their own, and all of them end with it.
"""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis import load
from sweeps.store import Store
from tests.needs import needs

ROOT = Path(__file__).parents[2]
PATIENCE = 600  # seconds after which what is waited for does not come any more, on a busy machine either
pytestmark = pytest.mark.full

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={controller_port}
SlurmdPort={node_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/controller.pid
SlurmdPidFile={folder}/node.pid
SlurmctldLogFile={folder}/controller.log
SlurmdLogFile={folder}/node.log
SchedulerParameters=batch_sched_delay=1,sched_interval=2
SchedulerType=sched/builtin
KillWait={patience}
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES OverSubscribe=NO State=UP
"""
NO_MUNGE = 42  # the exit status of DAEMONS where munged ends before it listens
DAEMONS = """
munged --foreground --key-file={folder}/key --socket={folder}/munge --pid-file={folder}/munge.pid \\
    --log-file={folder}/munge.log --seed-file={folder}/seed &
munged=$!
until [ -S {folder}/munge ]; do
    kill -0 $munged 2> /dev/null || exit {no_munge}
    sleep 0.1
done
slurmctld -D &
slurmd -D &
wait
"""


class Slurm:
    def __init__(self, folder: Path, environment: dict[str, str]):
        self.folder, self.environment = folder, environment

    def said(self, *command: str) -> str:
        shown = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        assert shown.returncode == 0, shown.stderr
        return shown.stdout

    def asked(self, *command: str) -> str:
        """What a command that changes nothing says, given again while the controller is too busy to answer."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self.said(*command)
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(1)

    def submit(self, file: str, *arguments: str, options: tuple[str, ...] = ()) -> str:
        """The ID of a job that runs a file of deploy/."""
        job = self.said("sbatch", "--parsable", "--cpus-per-task=1", *options, str(ROOT / "deploy" / file), *arguments)
        return job.strip()

    def states(self) -> dict[str, str]:
        lines = self.asked("squeue", "--all", "--states=all", "--noheader", "--array", "--format=%i %T").split("\n")
        return dict(line.split() for line in lines if line)

    def log(self, job: str) -> str:
        """What a job has printed; that of an array's task bears the number that Slurm gave to it."""
        number = re.search(r"JobId=(\d+)", self.asked("scontrol", "show", "job", job)).group(1)
        return (self.folder / f"amc-{number}.log").read_text()

    def until(self, done: Callable[[dict[str, str]], bool], *jobs: str) -> None:
        """Returns when something holds of the jobs' states; fails with their logs when it does not come to that."""
        deadline = time.monotonic() + PATIENCE
        while not done(states := self.states()):
            failed = [job for job in jobs if states.get(job) in ("FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")]
            logs = "\n".join(path.read_text() for path in sorted(self.folder.glob("amc-*.log")))
            assert not failed and time.monotonic() < deadline, f"{states}\n{logs}"
            time.sleep(0.2)

    def wait(self, *jobs: str) -> None:
        """Returns when all jobs have completed."""
        self.until(lambda states: all(states.get(job) == "COMPLETED" for job in jobs), *jobs)

    def times(self, job: str) -> tuple[str, str]:
        """When a job began and ended."""
        shown = self.asked("scontrol", "show", "job", job)
        return re.search(r"StartTime=(\S+)", shown).group(1), re.search(r"EndTime=(\S+)", shown).group(1)


@pytest.fixture(scope="module")
def slurm():
    for program in ("slurmctld", "slurmd", "munged", "sbatch", "srun"):
        needs(program, program, folders=("/usr/sbin",))
    if os.geteuid() or subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"]).returncode:
        pytest.skip("this user may not make a process namespace, without which `ray stop` would end every Ray here")
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
    (folder / "key").write_bytes(secrets.token_bytes(1024))
    (folder / "key").chmod(0o600)
    folder.chmod(0o755)  # of which munged makes sure
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = {"controller_port": one.getsockname()[1], "node_port": other.getsockname()[1]}
    host = socket.gethostname().split(".")[0]
    (folder / "slurm.conf").write_text(CONFIGURATION.format(host=host, folder=folder, patience=PATIENCE, **ports))
    (folder / "state").mkdir()
    (folder / "spool").mkdir()
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin"])
    environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": programs, "PYTHONPATH": str(ROOT)}
    started = DAEMONS.format(folder=folder, no_munge=NO_MUNGE)
    alone = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "bash", "-c", started]
    with (folder / "daemons.log").open("w") as log:
        daemons = subprocess.Popen(alone, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + PATIENCE
        while "idle" not in subprocess.run(["sinfo"], env=environment, capture_output=True, text=True).stdout:
            said = "".join(path.read_text() for path in sorted(folder.glob("*.log")))
            if daemons.poll() == NO_MUNGE:
                [*_, last] = said.splitlines() or ["it does not say why"]
                pytest.skip(f"munged does not start on this machine: {last}")
            assert daemons.poll() is None and time.monotonic() < deadline, said
            time.sleep(0.2)
        yield Slurm(folder, environment)
    finally:
        daemons.send_signal(signal.SIGKILL)  # and the kernel all that is in the namespace
        daemons.wait()
        shutil.rmtree(folder, ignore_errors=True)


def test_a_job_on_one_node_uses_the_cores_that_it_is_granted(slurm, study_file, tmp_path):
    study = study_file(models="mod_lcnn")
    job = slurm.submit("slurm.sbatch", study, "--store", str(tmp_path / "store"))
    slurm.wait(job)
    log = slurm.log(job)
    assert "with 1 cores" in log and "small is complete" in log
    assert "Traceback" not in log
    assert len(load("cells", tmp_path / "store", study)) == 2 * 4 * 2


def test_two_jobs_share_a_node_each_with_a_ray_of_its_own(slurm, study_file, tmp_path):
    studies = [study_file(name, models="mod_lcnn", recipe="{epochs: 40, batch_size: 8}") for name in ("one", "two")]
    stores = [tmp_path / "first", tmp_path / "second"]
    jobs = [
        slurm.submit("slurm.sbatch", study, "--store", str(store)) for study, store in zip(studies, stores, strict=True)
    ]
    slurm.wait(*jobs)
    (began, ended), (other_began, other_ended) = map(slurm.times, jobs)
    assert began < other_ended and other_began < ended
    for job, study, store in zip(jobs, studies, stores, strict=True):
        assert "is complete" in slurm.log(job)
        assert len(load("cells", store, study)) == 2 * 4 * 2


def test_the_tasks_of_an_array_share_the_runs_of_one_store(slurm, study_file, tmp_path):
    study, store = study_file(models="mod_lcnn", seeds="[0, 1, 2]"), tmp_path / "store"
    job = slurm.submit("slurm.sbatch", study, "--store", str(store), options=("--array=0-1",))
    tasks = [f"{job}_0", f"{job}_1"]
    slurm.wait(*tasks)
    assert all("small is complete" in slurm.log(task) for task in tasks)
    assert len(Store(store).trained()) == 6
    assert len(load("cells", store, study)) == 6 * 4 * 2


def test_a_job_that_is_requeued_goes_on_from_its_store(slurm, study_file, tmp_path):
    study = study_file(models="mod_lcnn", recipe="{epochs: 100, batch_size: 8}")
    store = tmp_path / "store"
    job = slurm.submit("slurm.sbatch", study, "--store", str(store))
    slurm.until(lambda states: Store(store).training(), job)
    [begun] = Store(store).training()
    slurm.said("scontrol", "requeue", job)  # which sends SIGTERM to the launch and to Ray at once: some end is told
    slurm.until(lambda states: states[job] == "PENDING", job)
    slurm.said("scontrol", "update", f"JobId={job}", "StartTime=now")  # Slurm would let it wait for two minutes
    slurm.wait(job)
    log = " ".join(slurm.log(job).split())  # lines are as wide as a terminal
    assert "start 0" in log and "start 1" in log and "small is complete" in log
    assert "he same command goes on from the" in log
    [*_, last] = sorted((store / "runs" / begun).glob("log-*"))
    assert "epoch 100/100" in last.read_text() and "epoch 1/100" not in last.read_text()
    assert len(load("cells", store, study)) == 2 * 4 * 2


@pytest.mark.parametrize(("file", "options"), [("slurm.sbatch", ()), ("slurm-nodes.sbatch", ("--nodes=1",))])
def test_slurms_warning_lets_a_job_end_in_order_and_the_next_one_completes_the_study(
    slurm, study_file, tmp_path, file, options
):
    study, store = study_file(models="mod_lcnn", recipe="{epochs: 200, batch_size: 8}"), tmp_path / "store"
    job = slurm.submit(file, study, "--store", str(store), options=options)
    slurm.until(lambda states: Store(store).training(), job)
    slurm.said("scancel", "--batch", "--signal=USR1", job)  # as --signal=B:USR1 does before the end of a job's time
    slurm.wait(job)  # its exit code is 0
    log = slurm.log(job)
    assert "asked to end" in log and "Ended early, with 2 of 2 runs" in log and "Traceback" not in log
    assert Store(store).training() and not Store(store).failures()
    job = slurm.submit(file, study, "--store", str(store), options=options)
    slurm.wait(job)
    assert "small is complete" in slurm.log(job)
    assert len(load("cells", store, study)) == 2 * 4 * 2


def test_a_job_warned_before_the_end_of_its_time_ends_in_it(slurm, study_file, tmp_path):
    study, store = study_file(models="mod_lcnn", recipe="{epochs: 100000, batch_size: 8}"), tmp_path / "store"
    times = ("--time=5", "--signal=B:USR1@210")  # which Slurm sends up to a minute earlier than that
    job = slurm.submit("slurm.sbatch", study, "--store", str(store), options=times)
    slurm.wait(job)
    assert "Ended early, with 2 of 2 runs" in slurm.log(job)


def test_a_job_of_several_nodes_runs_on_a_ray_of_its_own(slurm, study_file, tmp_path):
    """One node stands for several, as `ray symmetric-run` has no two on a machine."""
    study, store = study_file(models="mod_lcnn"), tmp_path / "store"
    job = slurm.submit("slurm-nodes.sbatch", study, "--store", str(store), options=("--nodes=1",))
    slurm.wait(job)
    log = slurm.log(job)
    assert "Running command on head node" in log and "small is complete" in log
    assert len(load("cells", store, study)) == 2 * 4 * 2
    assert not list(Path("/tmp").glob(f"ray-{job}"))
