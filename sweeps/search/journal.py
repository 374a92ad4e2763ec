"""The journal file in which Optuna keeps the trials of a search: opening it, and mending a damaged one."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

# Records of the journal. Its trials are numbered in the order of the records that create them.
_CREATE_STUDY, _CREATE_TRIAL, _SET_TRIAL_ATTRIBUTE = 0, 4, 8
_NOTHING = {"op_code": _SET_TRIAL_ATTRIBUTE, "worker_id": "", "trial_id": -1, "user_attr": {}}  # belongs to no trial


def open_journal(path: Path):
    """Optuna's storage in a journal file; the file is created if there is none."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    path.parent.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(str(path), _lock(path)))


def mend_journal(path: Path, study: str, directions: Sequence[str]) -> tuple[Path, int] | None:
    """Put a copy of a damaged journal beside it and go on with the lines that can be read.

    Returns the path of the copy and the number of lost lines; None if there is no damage. A last line that a crash left
    unfinished does not count as damage. It is cut off, since the next line would be appended to it.
    study, directions: as in the journal's first line.
    """
    if not path.exists() or _mended(content := path.read_bytes(), study, directions) == (content, 0):
        return None
    lock = _lock(path)
    lock.acquire()
    try:
        content = path.read_bytes()
        mended, lost = _mended(content, study, directions)
        aside = path.with_name(f"{path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}")
        if lost:
            shutil.copyfile(path, aside)
        if mended != content:
            whole = path.with_name(f"{path.name}.mended")
            whole.write_bytes(mended)
            os.replace(whole, path)
    finally:
        lock.release()
    return (aside, lost) if lost else None


def _lock(path: Path):
    """The journal's lock. Optuna warns of the lock of a killed driver after 10 s and removes it after 30 s."""
    from optuna.storages.journal import JournalFileOpenLock

    logging.getLogger(JournalFileOpenLock.__module__).setLevel(logging.WARNING)
    return JournalFileOpenLock(str(path))  # creates a file exclusively, which is safe on NFS as well


def _mended(content: bytes, study: str, directions: Sequence[str]) -> tuple[bytes, int]:
    """The journal without the lines that cannot be read, and their number.

    Each of them gets a stand-in, if possible of the same length, since running drivers go on reading from where they
    were. If later lines show that the creation of a trial is missing, the stand-in creates it; else it does nothing.
    """
    from optuna.study import StudyDirection

    lines = content.split(b"\n")[:-1]
    records = [_record(line) for line in lines]
    if records and (records[0] or {}).get("study_name") != study:
        records[0] = None
    begin = {"op_code": _CREATE_STUDY, "worker_id": "", "study_name": study}
    begin["directions"] = [StudyDirection[direction.upper()].value for direction in directions]
    while (at := _refused([record or (_NOTHING if at else begin) for at, record in enumerate(records)])) is not None:
        records[at] = None
    lost = [at for at, record in enumerate(records) if record is None]
    stand_ins = {at: _NOTHING if at else begin for at in lost}
    trials, passed = 0, []
    for at, record in enumerate(records):
        if record is None:
            passed += [at] if at else []
            continue
        while passed and record.get("trial_id", -1) >= trials:
            created = {"study_id": 0, "datetime_start": datetime.now(UTC).isoformat()}
            stand_ins[passed.pop()] = {"op_code": _CREATE_TRIAL, "worker_id": "", **created}
            trials += 1
        trials += record["op_code"] == _CREATE_TRIAL
    for at, record in stand_ins.items():
        lines[at] = json.dumps(record, separators=(",", ":")).encode().ljust(len(lines[at]))
    return b"".join(line + b"\n" for line in lines), len(lost)


def _record(line: bytes) -> dict | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _refused(records: list[dict]) -> int | None:
    """The index of the first record that Optuna cannot replay; None if there is none."""
    from optuna.storages import JournalStorage

    left = iter(records)
    try:
        JournalStorage(SimpleNamespace(read_logs=lambda start: left))
    except Exception:  # a bad record may lead to any
        return len(records) - len(list(left)) - 1
    return None
