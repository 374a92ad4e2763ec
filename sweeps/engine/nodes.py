"""Fitness of a cluster's nodes for trials: they have to see the driver's store, and have its versions and recordings.

The driver leaves a token in the store. Before its first trial, a worker reads it, and writes a file beside the results.
If this fails, a message names the reason and the node, and no further trial is sent there.
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

_PATIENCE = {True: 60, False: 5}  # seconds until a node counts as unfit, for a bucket and for a directory


@dataclass(frozen=True)
class Proof:
    """What a node has to prove.

    file, token: a file of the store, and its content. versions: name → version. recordings: files that trials read.
    """

    file: str
    token: str
    versions: dict[str, str] = field(hash=False)
    recordings: tuple[Needed, ...] = ()


def leave_token(store: Store, folder: str, recordings: tuple[Needed, ...] = ()) -> Proof:
    """Write a token to a scratch folder of the store, and return what nodes have to prove."""
    proof = Proof(f"{PurePath(folder).name}/token", secrets.token_hex(16), versions(), recordings)
    store.files.write(proof.file, proof.token.encode())
    return proof


@cache
def versions() -> dict[str, str]:
    """The versions that all nodes must share, since results depend on them: of PyTorch and of our own files."""
    digest = hashlib.blake2b(digest_size=4)
    for path in sorted(Path(amc_core.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return {"PyTorch": _release("torch"), "amc-sweeps": f"{_release('amc-sweeps')} ({VERSION}, {digest.hexdigest()})"}


def _release(package: str) -> str:
    try:
        return version(package).partition("+")[0]  # the GPUs that a build is for do not matter
    except PackageNotFoundError:
        return "none"


def unfitness(store: Store, proof: Proof) -> str | None:
    """Why this node is unfit for trials, in words that follow its name; None if it is fit."""
    own = versions()
    for what, needed in proof.versions.items():
        if own.get(what) != needed:
            return f"has {what} {own.get(what, 'none')}, but the driver has {needed}"
    began = time.monotonic()
    while reason := _unusable(store, proof):  # another machine's files may take a moment to appear
        if time.monotonic() - began > _PATIENCE["://" in str(store.path)]:
            return reason
        time.sleep(1)
    return lacking(proof.recordings)


def _unusable(store: Store, proof: Proof) -> str | None:
    host, number = re.sub(r"[^\w-]", "_", socket.gethostname()), secrets.token_hex(16)
    probe = f"runs/.{host}.{os.getpid()}.{number}"  # other processes remove what a killed one leaves
    try:
        if store.files.read(proof.file) != proof.token.encode():
            return f"sees another store at {str(store.path)!r}"
        store.files.write(probe, proof.token.encode(), durable=False)
        store.files.delete(probe)
    except FileNotFoundError:
        return f"does not see the driver's store: {str(store.path)!r} is another store there, or does not exist"
    except AmcError as error:
        return f"cannot use the store: {error}"
    return None
