"""amc …: parsing and printing."""

from sweeps.cli import about, pictures, running, tables, using
from sweeps.cli.app import app

__all__ = ["about", "app", "pictures", "running", "tables", "using"]
