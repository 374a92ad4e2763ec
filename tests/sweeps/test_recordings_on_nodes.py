"""Recordings that reach the nodes: from a bucket, sent once through Ray, or refused with the node's name."""

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow.fs
import pytest

from amc_core import AmcError, fingerprint
from amc_core.bucket import bucket_files
from amc_core.copies import located
from amc_core.fingerprint import DigestedPath, content_digest
from amc_core.recordings import open_recording, write_sigmf
from analysis import load
from benchmarks.faults import bucket, ray_cluster, unlike_node
from sweeps.engine.recordings import Needed, lacking
from sweeps.engine.trial import compute
from sweeps.planning import make_plan, require_recordings
from sweeps.store import Store
from sweeps.study import load_study

ROOT = Path(__file__).parents[2]
X = np.random.default_rng(0).standard_normal((40, 2, 128)).astype(np.float32)
NAMES = np.repeat(["BPSK", "QPSK"], 20)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache directory of our own, where copies lie."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(fingerprint, "_known", {})
    return tmp_path / "cache" / "amc-sweeps" / "recordings"


@pytest.fixture
def in_bucket(cache):
    """The address of an empty bucket, and its files."""
    before = dict(os.environ)
    with ExitStack() as stack:
        address = bucket(stack)
        yield address, bucket_files("measurements", os.environ["AWS_ENDPOINT_URL"], 3)
    for name in set(os.environ) - set(before):
        del os.environ[name]
    os.environ.update(before)


def put(files: pyarrow.fs.FileSystem, path: Path) -> None:
    with files.open_output_stream(f"measurements/{path.name}") as target:
        target.write(path.read_bytes())


@pytest.fixture
def study(study_file):
    def write(recording: str, **changes: str) -> str:
        fixed = {"modulations": "[BPSK, QPSK]", "snr_db": "[10]", "models": "[hoc_svm]", "recipe": None}
        return study_file(**fixed | {"train": "{channel: awgn}", "test": f"{{recording: {recording}}}"} | changes)

    return write


def test_a_recording_in_a_bucket_is_fetched_once_and_is_what_it_holds(in_bucket, cache, study, tmp_path):
    address, files = in_bucket
    np.savez(tmp_path / "lab.npz", X=X, Y=NAMES)
    meta = write_sigmf(tmp_path / "rec", X, 1e6, NAMES, 10)
    for path in (tmp_path / "lab.npz", meta, meta.with_suffix(".sigmf-data")):
        put(files, path)
    there = DigestedPath(f"{address}/rec.sigmf-meta")
    assert there.content == content_digest(meta) and there.label == f"rec.sigmf {there.content[:6]}"
    path, store = study(f"[{there}, {{file: '{address}/lab.npz', iq: X, label: Y}}]"), Store(tmp_path / "store")
    plan = make_plan(load_study(path), store)
    require_recordings(plan)
    for entry in plan.incomplete:
        list(compute(entry.run, entry.missing, store))
    assert sorted(load("cells", store.path, path)["n"]) == [40, 40]
    assert len([*cache.glob("*/*")]) == 3
    files.delete_file("measurements/rec.sigmf-data")
    found = located(DigestedPath(str(there), there.content))  # planned: the copy is all it takes
    assert found.startswith(str(cache)) and len(open_recording(found)) == 40
    with pytest.raises(AmcError, match=r"there is no file s3://measurements/rec.sigmf-data"):
        content_digest(str(there))
    with pytest.raises(AmcError, match=r"s3://measurements/none.npz' cannot be read: there is no file"):
        load_study(study(f"{{file: '{address}/none.npz', iq: X, label: Y}}"))


def test_a_changed_file_in_a_bucket_is_another_recording(in_bucket, tmp_path):
    address, files = in_bucket
    digests = []
    for seed in range(2):
        np.save(tmp_path / "a.npy", np.random.default_rng(seed).standard_normal((4, 2, 16 + seed)))
        put(files, tmp_path / "a.npy")
        digests.append(content_digest(f"{address}/a.npy"))
    assert digests[1] == content_digest(str(tmp_path / "a.npy")) != digests[0]


def test_a_node_without_a_file_too_large_to_send_is_told_and_with_another_content_too(cache, tmp_path):
    np.save(tmp_path / "a.npy", X)
    path = DigestedPath(str(tmp_path / "a.npy"), content_digest(str(tmp_path / "a.npy")))
    assert lacking((Needed(path, 3_000_000_000),)) is None
    np.save(tmp_path / "a.npy", X[1:])
    told = lacking((Needed(path, 3_000_000_000),))
    assert (
        "does not have recording" in told
        and "the file there has another content; 3.0 GB are more than the 2.1 GB" in told
    )
    (tmp_path / "a.npy").unlink()
    told = lacking((Needed(path, 3_000_000_000),))
    assert (
        "a.npy" in told and "No such file" in told and "put it on storage that all nodes see, or into a bucket" in told
    )


def test_a_worker_without_the_recording_is_named_where_it_is_too_large_and_else_sent_it_once(study, tmp_path):
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("mounting is not permitted")
    site, store, there = tmp_path / "site", tmp_path / "store", tmp_path / "there"
    site.mkdir()
    write_sigmf(site / "rec", X, 1e6, NAMES, 10)
    path = study("site/rec.sigmf-meta", seeds="[0, 1, 2]")
    blind = f"mount -t tmpfs none {{store}} && export XDG_CACHE_HOME={there}"
    limited = "from sweeps.engine import recordings; recordings.MOST_SENT = 100; "

    def run(before: str) -> subprocess.CompletedProcess:
        program = f"{before}from sweeps.__main__ import main; main()"
        command = [sys.executable, "-c", program, "run", path, "--store", str(store), "--address", cluster.address]
        kept = {"cwd": ROOT, "env": cluster.environment, "capture_output": True, "text": True, "timeout": 300}
        return subprocess.run(command, **kept)

    with ray_cluster(tmp_path / "auth_token", workers=0) as cluster:
        with unlike_node(cluster, blind, site):
            refused = run(limited)
            assert (
                refused.returncode == 2 and "no node with room for a trial is fit for trials: node " in refused.stderr
            )
            assert "does not have recording" in refused.stderr and "No such file" in refused.stderr
            assert not Store(store).trained()
            done = run("")
    assert done.returncode == 0, done.stderr
    assert load("cells", store, path)["n"].tolist() == [40] * 3
    [copy] = there.glob("amc-sweeps/recordings/*")
    assert sorted(file.name for file in copy.iterdir()) == ["rec.sigmf-data", "rec.sigmf-meta"]
