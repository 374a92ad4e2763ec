"""amc …: parsing and printing."""

from sweeps.cli import about, confidence, pictures, running, tables, using
from sweeps.cli.app import app

__all__ = ["about", "app", "confidence", "pictures", "running", "tables", "using"]
