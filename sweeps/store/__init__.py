"""Durable results in a directory or a bucket."""

from sweeps.store.cells import CELL_SCHEMA
from sweeps.store.complaints import Damaged, OtherVersion
from sweeps.store.listing import Listing
from sweeps.store.record import Process, RunRecord
from sweeps.store.run_folder import RunFolder
from sweeps.store.store import Store

__all__ = ["CELL_SCHEMA", "Damaged", "Listing", "OtherVersion", "Process", "RunFolder", "RunRecord", "Store"]
