"""From a store to tables and figures. Importing it takes neither torch nor Ray."""

from analysis.latex import to_latex
from analysis.networks import load_run
from analysis.pivots import accuracy_by, drop_from_training, snr_at, train_test
from analysis.results import Results, load
from analysis.significance import PAIRED, significance

__all__ = [
    "PAIRED",
    "Results",
    "accuracy_by",
    "drop_from_training",
    "load",
    "load_run",
    "significance",
    "snr_at",
    "to_latex",
    "train_test",
]
