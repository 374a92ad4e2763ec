"""Kill everything that a sweep consists of, at random moments, and compare its tables with an uninterrupted one's.

    python benchmarks/faults.py [--faults 50] [--seed 0] [--folder DIR]

Each launch of a small study suffers one fault: the driver gets SIGKILL, SIGTERM or SIGINT; a trial's worker, an agent
of Ray's, the raylet or Ray's head (the GCS) gets SIGKILL; a node of a cluster is lost, or one does not see the store or
may not write there; a bucket denies access for 15 s. Faults come in rounds, each kind once a round. Then the same
command is given again, until the study is complete; a complete study is followed by another, in turn with transfers, a
search, a mixture, and in a bucket, until there were so many faults. Counted are finished runs that were trained again
and cells that were evaluated again: both should be none. The table is printed whenever a study is complete, and at the
end, which Ctrl-C brings about at once.

Needs psutil, moto for the bucket, and the right to mount for nodes unlike the driver. Exit code 1 where a table
differs, a finished run was trained again, or a launch did not end.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import pandas as pd
import psutil

from amc_core.errors import AmcError
from analysis import load
from sweeps.store import Store

_SHARED = """
modulations: [BPSK, 16QAM, GFSK]
snr_db: [0, 18]
instances: 40
length: 128
test: {channel: [awgn, rician], upsampling: [4, 8]}
"""
STUDIES = {
    "transfer": """
models: [hoc_svm, mod_lcnn]
recipe: {epochs: 40, batch_size: 16}
seeds: [0, 1]
train: {channel: [awgn, rayleigh]}
transfer: [{train: {channel: rician}, recipe: {epochs: 20, retrain: head, label_fraction: 0.5}}]
""",
    "mixture": """
models: [mod_lcnn]
recipe: {epochs: 40, batch_size: 16}
seeds: [0, 1, 2, 3]
train: {mixture: [{channel: awgn}, {channel: rayleigh, upsampling: 4}]}
""",
    # The grid's proposals are the same in whatever order they are made.
    "search": """
models: [mod_lcnn]
recipe: {epochs: {choice: [10, 20, 30]}, batch_size: {choice: [16, 32]}}
train: {channel: awgn}
search: {proposals: 6, sampler: grid}
""",
}
IN_BUCKET = "transfer"  # the study that is computed in a bucket, too
# What depends on when and where, not on what.
TIMES = ["started_at", "finished_at", "evaluated_at", "seconds", "host", "evaluated_host", "instances_per_second"]

SIGNALS = {"driver SIGKILL": signal.SIGKILL, "driver SIGTERM": signal.SIGTERM, "driver SIGINT": signal.SIGINT}
PROCESSES = {
    "worker SIGKILL": "ray::ImplicitFunc",
    "agent SIGKILL": "ray::DashboardAgent",  # with which the raylet ends
    "raylet SIGKILL": "raylet",
    "head SIGKILL": "gcs_server",
}
NODE = "node lost"
UNLIKE = {  # a node beside one that is fit → what makes the store another there
    "node blind": "mount -t tmpfs none {store}",
    "node read-only": "mount --bind {store} {store} && mount -o remount,ro,bind {store}",
}
DENIED, DENIED_SECONDS = "access denied", 15
FAULTS = (*SIGNALS, *PROCESSES, NODE, *UNLIKE)
PATIENCE = 900  # seconds, until a launch that has suffered is said not to end


def command(study: Path, store: Path | str, *more: str) -> list[str]:
    return [sys.executable, "-m", "sweeps", "run", str(study), "--store", str(store), *more]


def suffer(fault: str, study: Path, store: Path | str, moment: float) -> str | None:
    """Launch; `moment` seconds after the first new file in the store comes the fault.

    What the launch told, None if it did not come to the fault. Raises TimeoutError where the launch does not end.
    """
    with ExitStack() as stack:
        cluster, options, environment = None, (), None
        if fault == NODE or fault in UNLIKE:
            cluster = stack.enter_context(ray_cluster(study.with_name("auth_token")))
            options, environment = ("--address", cluster.address), cluster.environment
        if fault in UNLIKE:
            cluster.lose_one()
            stack.enter_context(unlike_node(cluster, UNLIKE[fault], store))
        before = files(store)
        told = stack.enter_context(tempfile.TemporaryFile("w+"))
        driver = subprocess.Popen(command(study, store, *options), env=environment, stdout=told, stderr=told)
        try:
            while driver.poll() is None and files(store) == before:
                time.sleep(0.05)
            time.sleep(moment)
            if driver.poll() is not None and (fault not in UNLIKE or files(store) == before):
                return None
            if fault == NODE:
                cluster.lose_one()
            elif fault == DENIED:
                denied(DENIED_SECONDS)
            elif fault not in UNLIKE:  # which are there from the start
                strike(fault, driver)
            driver.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{fault}: the launch of {study} on {store} did not end in {PATIENCE} s") from None
        finally:
            end(driver)
        told.seek(0)
        return told.read()


def strike(fault: str, driver: subprocess.Popen) -> None:
    if fault in SIGNALS:
        driver.send_signal(SIGNALS[fault])
        return
    for process in descendants(driver.pid):
        with suppress(psutil.NoSuchProcess):  # as it has ended, or is a zombie
            if PROCESSES[fault] in " ".join(process.cmdline()[:1]):
                process.kill()
                return


def end(driver: subprocess.Popen) -> None:
    """Kill what is left of a launch; a driver that was killed leaves Ray's processes to end by themselves."""
    left = descendants(driver.pid)
    if driver.poll() is None:
        driver.kill()
        driver.wait()
    for process in left:
        if process.is_running():
            process.kill()


def descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


class RayCluster:
    """A Ray cluster of a head without CPUs and some nodes, on this machine.

    A process of its own has it: Ray keeps what it knows of tokens and addresses for as long as a process lives.
    environment: what drivers need to be let in.
    """

    HOST = """
import sys
from ray.cluster_utils import Cluster
memory = {"object_store_memory": 80 << 20}
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **memory})
count, cpus, gpus = map(int, sys.argv[1:])
workers = [cluster.add_node(num_cpus=cpus, num_gpus=gpus, **memory) for _ in range(count)]
print(cluster.address, flush=True)
for line in sys.stdin:
    cluster.remove_node(workers.pop(), allow_graceful=False)
    print("removed", flush=True)
cluster.shutdown()
"""

    def __init__(self, token: Path, workers: int, cpus: int, gpus: int, asks: bool):
        token.write_text("0" * 64)
        token.chmod(0o600)
        tokens = {"RAY_AUTH_MODE": "token" if asks else "disabled", "RAY_AUTH_TOKEN_PATH": str(token)}
        self.environment = os.environ | tokens | {"RAY_USAGE_STATS_ENABLED": "0"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        host = [sys.executable, "-c", self.HOST, str(workers), str(cpus), str(gpus)]
        self.process = subprocess.Popen(host, text=True, env=self.environment, **pipes)
        self.address = self.process.stdout.readline().strip()

    def lose_one(self) -> None:
        """End a node without a word to the others."""
        self.process.stdin.write("remove\n")
        self.process.stdin.flush()
        self.process.stdout.readline()


@contextmanager
def ray_cluster(token: Path, workers: int = 2, cpus: int = 1, gpus: int = 0, asks: bool = True):
    """A cluster that ends with the context; `token` is written there. asks: whether it asks for that."""
    cluster = RayCluster(token, workers, cpus, gpus, asks)
    try:
        yield cluster
    finally:
        cluster.process.stdin.close()
        cluster.process.wait(60)


@contextmanager
def unlike_node(cluster: RayCluster, mount: str, store: Path | str):
    """A node of the cluster to which the store is another: `mount` makes it so."""
    Path(store, "runs").mkdir(parents=True, exist_ok=True)
    start = f"{sys.executable} -m ray.scripts.scripts start --address={cluster.address} --num-cpus=1 --block"
    shell = ["unshare", "--mount", "sh", "-c", f"{mount.format(store=store)} && exec {start}"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    node = subprocess.Popen(
        [*shell[:-1], f"{shell[-1]} --object-store-memory={80 << 20}"], env=cluster.environment, **pipes
    )
    try:
        said = []
        for line in node.stdout:
            said.append(line)
            if "Ray runtime started" in line:
                break
        else:
            raise RuntimeError(f"no node unlike the driver has come to be: {''.join(said)}")
        yield
    finally:
        node.terminate()
        node.wait(60)


def bucket(stack: ExitStack) -> str:
    """The address of a new bucket on an S3 server of our own, which ends with the context."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    stack.callback(server.stop)
    host, port = server.get_host_and_port()
    os.environ |= {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_EC2_METADATA_DISABLED": "true"}
    os.environ |= {"AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "secret"}
    ask("PUT", "measurements")
    return "s3://measurements"


def denied(seconds: float) -> None:
    """Let the S3 server deny access for a while."""
    ask("POST", "moto-api/reset-auth", b"0")
    time.sleep(seconds)
    ask("POST", "moto-api/reset-auth", b"inf")


def ask(method: str, path: str, body: bytes | None = None) -> None:
    address = f"{os.environ['AWS_ENDPOINT_URL']}/{path}"
    request = urllib.request.Request(address, body, {"Content-Type": "text/plain"}, method=method)
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10).close()


def files(store: Path | str) -> set[tuple[str, float]]:
    """What is in the store, and since when; nothing while a bucket denies access."""
    try:
        return set(Store(store).files.list("runs").items())
    except AmcError:
        return set()


def finished(store: Path | str) -> dict[str, str]:
    """Run key → when it was finished."""
    place = Store(store)
    return {key: str(record.finished_at) for key, record in place.records().items()}


def tables(study: Path, store: Path | str) -> dict[str, pd.DataFrame]:
    loaded = {name: load(name, store, str(study)) for name in ("runs", "epochs", "cells", "confusion")}
    return {name: table.drop(columns=[c for c in TIMES if c in table]) for name, table in loaded.items()}


def differing(study: Path, one: Path | str, other: Path | str) -> list[str]:
    """Names of the tables in which two stores differ."""
    first, second = tables(study, one), tables(study, other)
    return [name for name in first if not first[name].equals(second[name])]


def cells_evaluated_twice(store: Path | str) -> int:
    place = Store(store)
    rows = [table.select(["cell", "snr_db"]).to_pandas() for table in place.cell_tables(place.trained())]
    return int(pd.concat(rows).duplicated().sum()) if rows else 0


def uninterrupted(folder: Path, name: str) -> tuple[Path, Path]:
    """The file of a study, and a store in which it was computed without a fault."""
    study, store = folder / f"{name}.yaml", folder / f"{name}-expected"
    if not study.exists():
        study.write_text(_SHARED + STUDIES[name])
        subprocess.run(command(study, store), check=True, stdout=subprocess.DEVNULL)
    return study, store


@dataclass
class Tally:
    """What has happened so far."""

    suffered: Counter = field(default_factory=Counter)  # fault → how often
    named: Counter = field(default_factory=Counter)  # fault → how often a launch told that a node gets no trials
    launches: int = 0
    complete: int = 0  # studies
    again: int = 0  # finished runs that were trained again
    cells_again: int = 0
    wrong: list[str] = field(default_factory=list)  # what should not have been

    def show(self) -> None:
        for fault in (*FAULTS, DENIED):
            named = f", {self.named[fault]} named" if fault in UNLIKE else ""
            print(f"{fault:16} {self.suffered[fault]:3}{named}")
        print(f"{self.suffered.total()} faults in {self.launches} launches, {self.complete} studies completed")
        print(f"finished runs trained again: {self.again}; rows of cells evaluated twice: {self.cells_again}")
        print(
            f"tables that differ from the uninterrupted study's, and else: {', '.join(self.wrong) or 'none'}",
            flush=True,
        )


class Rounds:
    """Faults in an order drawn anew for each round; what is not possible in a study is put off to one where it is."""

    def __init__(self, draw: random.Random):
        self.draw, self.left = draw, []

    def next(self, possible: tuple[str, ...]) -> str:
        if not any(fault in possible for fault in self.left):
            self.left += self.draw.sample(possible, len(possible))
        fault = next(fault for fault in self.left if fault in possible)
        self.left.remove(fault)
        return fault


def complete(study: Path, store: Path | str, possible: tuple[str, ...], limit: int, rounds: Rounds, tally: Tally):
    """Launch a study until it is complete, with a fault in each launch as long as there are fewer than `limit`."""
    known = {}
    while True:
        hit = False
        if tally.suffered.total() < limit:
            fault = rounds.next(possible)
            try:
                told = suffer(fault, study, store, rounds.draw.uniform(0, 4))
            except TimeoutError as error:
                told = ""
                tally.wrong.append(str(error))
            hit = told is not None
            tally.suffered[fault] += hit
            if not hit:
                rounds.left.insert(0, fault)
            tally.named[fault] += hit and "it gets no trials" in told
        tally.launches += 1
        now = finished(store)
        again = sum(now[key] != moment for key, moment in known.items() if key in now)
        tally.again += again
        known |= now
        if hit:
            so_far = f"{len(now)} runs finished, {again} trained again"
            print(f"{tally.suffered.total():3} {study.stem:9} {fault:16} {so_far}", flush=True)
        elif subprocess.run(command(study, store), stdout=subprocess.DEVNULL).returncode == 0:
            return


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--faults", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=None)
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="faults-"))
    folder.mkdir(parents=True, exist_ok=True)
    tally, rounds = Tally(), Rounds(random.Random(arguments.seed))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as stack:
        place = bucket(stack)
        turns = cycle([*((name, folder) for name in STUDIES), (IN_BUCKET, place)])
        try:
            while tally.suffered.total() < arguments.faults:
                name, parent = next(turns)
                study, expected = uninterrupted(folder, name)
                store = f"{parent}/{name}-{tally.complete}"
                possible = (*SIGNALS, *PROCESSES, DENIED) if parent == place else FAULTS
                complete(study, store, possible, arguments.faults, rounds, tally)
                tally.complete += 1
                tally.cells_again += cells_evaluated_twice(store)
                tally.wrong += [f"{store}: {table}" for table in differing(study, store, expected)]
                tally.show()
        except KeyboardInterrupt:
            print("ended before its time; the study under way is not compared")
            tally.show()
    return 1 if tally.wrong or tally.again else 0


if __name__ == "__main__":
    sys.exit(main())
