"""The commands of `amc`: parsing and printing."""

from sweeps.cli import about, confidence, efficiency, life, pictures, running, tables, tidying, using
from sweeps.cli.app import app

__all__ = ["about", "app", "confidence", "efficiency", "life", "pictures", "running", "tables", "tidying", "using"]
