"""Which nodes of a cluster may have trials: those that see the driver's store and have its versions and recordings.

The driver leaves a token in the store. A worker looks for it before its first trial, and writes something beside the
results. If one of these fails, a message names it and the node, and no further trial is sent there.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import socket
import time
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePath

import amc_core
from amc_core.errors import AmcError
from amc_core.identity import VERSION
from sweeps.engine.recordings import Needed, lacking
from sweeps.store import Store

_PATIENCE = {True: 60, False: 5}  # seconds, of a bucket and of a directory, until a node is said to be unfit


@dataclass(frozen=True)
class Proof:
    """What a node has to show. file, token: of the store, and what is in it. versions: what → which.

    recordings: files that trials read.
    """

    file: str
    token: str
    versions: dict[str, str] = field(hash=False)
    recordings: tuple[Needed, ...] = ()


def leave_token(store: Store, folder: str, recordings: tuple[Needed, ...] = ()) -> Proof:
    """Write a token in a scratch folder of the store, gone with it."""
    proof = Proof(f"{PurePath(folder).name}/token", secrets.token_hex(16), versions(), recordings)
    store.files.write(proof.file, proof.token.encode())
    return proof


@cache
def versions() -> dict[str, str]:
    """What all nodes must have in common, since results depend on it: PyTorch, and what our own files say."""
    digest = hashlib.blake2b(digest_size=4)
    for path in sorted(Path(amc_core.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return {"PyTorch": _release("torch"), "amc-sweeps": f"{_release('amc-sweeps')} ({VERSION}, {digest.hexdigest()})"}


def _release(package: str) -> str:
    try:
        return version(package).partition("+")[0]  # which GPUs a build is for is no difference
    except PackageNotFoundError:
        return "none"


def unfitness(store: Store, proof: Proof) -> str | None:
    """Why this node cannot have trials, in words that follow its name; None where it can."""
    own = versions()
    for what, needed in proof.versions.items():
        if own.get(what) != needed:
            return f"has {what} {own.get(what, 'none')}, and the driver has {needed}"
    began = time.monotonic()
    while reason := _unusable(store, proof):  # what a network shows of another machine's files may take a moment
        if time.monotonic() - began > _PATIENCE["://" in str(store.path)]:
            return reason
        time.sleep(1)
    return lacking(proof.recordings)


def _unusable(store: Store, proof: Proof) -> str | None:
    host, number = re.sub(r"[^\w-]", "_", socket.gethostname()), secrets.token_hex(16)
    probe = f"runs/.{host}.{os.getpid()}.{number}"  # what a killed process leaves, others remove
    try:
        if store.files.read(proof.file) != proof.token.encode():
            return f"sees another store at {str(store.path)!r}"
        store.files.write(probe, proof.token.encode(), durable=False)
        store.files.delete(probe)
    except FileNotFoundError:
        return f"does not see the driver's store: at {str(store.path)!r} there is another, or none"
    except AmcError as error:
        return f"cannot use the store: {error}"
    return None
