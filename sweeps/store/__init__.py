"""Durable results in a directory or a bucket."""

from sweeps.store.cells import CELL_SCHEMA
from sweeps.store.store import Damaged, Listing, Store

__all__ = ["CELL_SCHEMA", "Damaged", "Listing", "Store"]
