"""From a store to tables and figures. A name is imported when it is first used. Imports neither torch nor Ray."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.latex import to_latex
    from analysis.networks import load_run
    from analysis.pairwise import PAIRED, significance
    from analysis.pivots import accuracy_by, drop_from_training, snr_at, train_test
    from analysis.results import Results, load

_LAZY = {
    **dict.fromkeys(("Results", "load"), "analysis.results"),
    **dict.fromkeys(("accuracy_by", "drop_from_training", "snr_at", "train_test"), "analysis.pivots"),
    **dict.fromkeys(("PAIRED", "significance"), "analysis.pairwise"),
    "load_run": "analysis.networks",
    "to_latex": "analysis.latex",
}

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


def __getattr__(name: str):
    if name not in _LAZY:
        raise AttributeError(f"module 'analysis' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
