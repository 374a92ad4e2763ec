"""Removing runs from a store. Runs that started from a removed one still count."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from sweeps.store.complaints import Damaged
from sweeps.store.record import RunRecord, read_record

if TYPE_CHECKING:
    from sweeps.store.store import Store


def remove(store: Store, keys: Iterable[str]) -> None:
    """Remove runs with all that the store holds of them, each in one step.

    The record of a finished run moves to <store>/removed: runs that started from it need the name of its weights. If
    the process is killed meanwhile, every run is whole or gone.
    """
    for key in keys:
        with suppress(FileNotFoundError):
            store.files.write(f"removed/{key}.json", store.files.read(f"runs/{key}/run.json"))
        store.files.remove(f"runs/{key}", first="run.json")
        store.files.remove(f"damaged/{key}")


def removed_record(store: Store, key: str) -> RunRecord | None:
    """The record that a run had when it was removed; None if there is none or it cannot be read."""
    name = f"removed/{key}.json"
    try:
        return read_record(store.files.read(name), f"{store.path}/{name}")
    except (FileNotFoundError, Damaged):
        return None
