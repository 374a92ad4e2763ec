"""The record of a finished run, kept in its run.json."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import lru_cache
from typing import Any

from amc_core.errors import AmcError
from amc_core.identity import VERSION
from amc_core.run import Dataset, Recipe
from amc_core.scenario import scenario_from
from sweeps.store.complaints import Damaged, OtherVersion

UNKNOWN = "unknown"  # in tables, for a field of a process that an older file lacks
_NUMBER = (int, float, type(None))
_LARGEST = 1 << 63  # too large for the columns of tables
_FIELDS: dict[str, type | tuple[type, ...]] = {  # field of the JSON object → allowed types
    "model": str,
    "code": (str, type(None)),
    "hyperparameters": dict,
    "recipe": dict,
    "dataset": dict,
    "seed": int,
    "files": dict,
    "parent": (str, type(None)),
    "parent_weights": (str, type(None)),
    "parameters": (int, type(None)),
    "kept_epoch": (int, type(None)),
    "validation_accuracy": _NUMBER,
    "seconds": _NUMBER,
    "instances_trained": (int, type(None)),
    "gpu_share": _NUMBER,
    "started_at": (str, type(None)),
    "finished_at": (str, type(None)),
    "processes": list,
}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_REQUIRED = ("model", "dataset", "seed", "files")


@dataclass(frozen=True)
class Process:
    """A process that trained a run or evaluated cells, or parts of them, and what decides the last bits of its sums.

    device: "cpu" or the name of a GPU. threads: of PyTorch. vector_instructions: of the processor, by PyTorch's name.
    Fields that an older record lacks have their defaults.
    """

    host: str = ""
    device: str = ""
    threads: int | None = None
    vector_instructions: str = ""
    torch: str = ""

    def text(self) -> str:
        """The fields as JSON."""
        return json.dumps(_plain(self))

    def in_words(self, name: str) -> str:
        """A field as tables show it."""
        value = getattr(self, name)
        return UNKNOWN if value in (None, "") else str(value)


@dataclass(frozen=True)
class RunRecord:
    """A finished run. Fields that an older record lacks have their defaults.

    dataset: the training data. code: digest of a network of the user's own, whose text is a file beside the record.
    weights, epochs: names of its files. parent, parent_weights: the key of the run that it started from, and the name
    of that run's weights at the time. parameters: number of trained parameters. seconds: duration of training.
    instances_trained: instances of all its epochs. gpu_share: share of a GPU's memory, 0 to 1. processes: that trained
    it; the last one finished it.
    """

    model: str
    dataset: Dataset
    seed: int
    weights: str
    epochs: str
    code: str | None = None
    hyperparameters: dict = field(default_factory=dict)
    recipe: Recipe = field(default_factory=Recipe)
    parent: str | None = None
    parent_weights: str | None = None
    parameters: int | None = None
    kept_epoch: int | None = None
    validation_accuracy: float | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    seconds: float | None = None
    instances_trained: int | None = None
    gpu_share: float | None = None
    processes: tuple[Process, ...] = ()

    def of_processes(self, name: str) -> str:
        """A field of the processes in words: "1", or "1 + 2" where they differ."""
        return " + ".join(dict.fromkeys(process.in_words(name) for process in self.processes or (Process(),)))

    def content(self) -> bytes:
        """The record as the bytes of a run.json, with a line for each field."""
        plain = _plain(self)
        plain["files"] = {name: plain.pop(name) for name in ("weights", "epochs")}
        plain |= {"recipe": _plain(self.recipe), "dataset": self.dataset.as_dict()}
        plain["processes"] = [_plain(process) for process in self.processes]
        times = {name: getattr(self, name) for name in ("started_at", "finished_at")}
        plain |= {name: moment and moment.isoformat() for name, moment in times.items()}
        plain = {"version": VERSION, **plain}
        plain["checksum"] = _checksum(plain)
        # json.dumps with an indent takes six times as long.
        lines = ",\n ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in plain.items())
        return f"{{\n {lines}\n}}".encode()


def read_record(content: bytes, path: str) -> RunRecord:
    """The record in the content of the run.json at `path`.

    Raises Damaged if it is not what was written or is not a record, OtherVersion if it is of another version of this
    program.
    """
    try:
        plain = json.loads(content)
        checksum = plain.pop("checksum", None)
        whole = checksum == _checksum(plain)
    except (ValueError, AttributeError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise Damaged(f"{path} is damaged: 'amc run' of a study that needs it sets it aside and computes it again")
    version = plain.get("version")
    try:
        if type(version) is not int or not 0 < version < 1000:
            raise AmcError("it has no version")
        if version != VERSION:
            raise OtherVersion(path, version)
        return _record({name: plain[name] for name in _FIELDS if name in plain})
    except OtherVersion:
        raise
    except (AmcError, LookupError, TypeError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())[:200]
        raise Damaged(
            f"{path} is not the record of a run ({reason}): 'amc run' of a study that needs it sets it aside and "
            "computes it again"
        ) from None


def _record(plain: dict[str, Any]) -> RunRecord:
    """Raises various exceptions if this is not a record."""
    for name, kind in _FIELDS.items():
        if name in plain and (not isinstance(plain[name], kind) or isinstance(plain[name], bool)):
            raise AmcError(f"{name} is {_kind(plain[name])}")
        if name in _REQUIRED and name not in plain:
            raise AmcError(f"it has no {name}")
        if isinstance(plain.get(name), int | float) and abs(plain[name]) >= _LARGEST:  # NaN is not
            raise AmcError(f"{name} is too large a number")
    json.dumps(plain, ensure_ascii=False).encode()  # raises for half of a surrogate pair
    if any(_CONTROL.search(text) for text in _texts({name: plain[name] for name in plain if name != "processes"})):
        raise AmcError("a text in it has control characters, which a terminal would obey")
    if not plain["model"].isprintable() or not plain["model"].strip():
        raise AmcError(f"model {plain['model'][:40]!r} is not a name")
    if plain.get("parent") and not re.fullmatch("[0-9a-f]{24}", plain["parent"]):
        raise AmcError(f"parent {plain['parent'][:40]!r} is not the key of a run")
    files = plain.pop("files")
    for name in ("weights", "epochs"):
        if not isinstance(files.get(name), str):
            raise AmcError(f"it names no {name}")
        plain[name] = files[name]
    plain["dataset"] = _dataset(json.dumps(plain["dataset"]))
    if "recipe" in plain:
        plain["recipe"] = _recipe(json.dumps(plain["recipe"]))
    for name in ("started_at", "finished_at"):
        if plain.get(name) is not None:
            plain[name] = datetime.fromisoformat(plain[name])
            if plain[name].tzinfo is None:
                raise AmcError(f"{name} has no time zone")
    plain["processes"] = tuple(read_process(each) for each in plain.get("processes", ()))
    return RunRecord(**plain)


def _texts(value: Any) -> Iterator[str]:
    """All that are in a value of JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


@lru_cache(maxsize=1024)  # runs share their datasets
def _dataset(text: str) -> Dataset:
    plain = json.loads(text)
    for name in ("modulations", "snrs_db"):
        if not isinstance(plain[name], list):
            raise AmcError(f"dataset.{name} is {_kind(plain[name])}")
    return Dataset(**plain | {"scenario": scenario_from(plain["scenario"])})


@lru_cache(maxsize=1024)  # likewise
def _recipe(text: str) -> Recipe:
    return Recipe(**json.loads(text))


def read_process(plain: Any) -> Process:
    """A process from the plain values of its fields."""
    if not isinstance(plain, Mapping):
        raise AmcError(f"a process is {_kind(plain)}")
    told = {each.name: plain[each.name] for each in fields(Process) if each.name in plain}
    return Process(**{name: value for name, value in told.items() if _tells(name, value)})


def _tells(name: str, value: Any) -> bool:
    """Is this what a process may tell? Else it is taken to tell nothing."""
    if name == "threads":
        return type(value) is int and 0 < value < _LARGEST
    return isinstance(value, str) and value.isprintable()


def process_of(text: str | None) -> Process:
    """A process from its `text`; one without known fields if there is none or it is invalid."""
    try:
        return read_process(json.loads(text or "{}"))
    except (AmcError, ValueError, RecursionError):
        return Process()


def _plain(instance: Any) -> dict[str, Any]:
    """Field → value of a dataclass, without conversion of the values."""
    return {each.name: getattr(instance, each.name) for each in fields(instance)}


def _kind(value: Any) -> str:
    kinds = {
        dict: "an object",
        list: "a list",
        str: "a text",
        bool: "true or false",
        int: "a number",
        float: "a number",
    }
    return kinds.get(type(value), "null")


def _checksum(plain: dict) -> str:
    return digest(json.dumps(plain, sort_keys=True).encode())


def digest(content: bytes) -> str:
    """The first 32 hex digits of the SHA-256 of a content."""
    return hashlib.sha256(content).hexdigest()[:32]
