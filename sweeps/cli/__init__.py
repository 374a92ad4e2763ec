"""amc …: parsing and printing."""

from sweeps.cli import about, life, pictures, running, tables, tidying
from sweeps.cli.app import app

__all__ = ["about", "app", "life", "pictures", "running", "tables", "tidying"]
