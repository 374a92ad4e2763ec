"""amc …: parsing and printing."""

from sweeps.cli import about, pictures, running, tables
from sweeps.cli.app import app

__all__ = ["about", "app", "pictures", "running", "tables"]
