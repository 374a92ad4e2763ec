"""Searches: Optuna's proposals as plain studies, and their storage. Submodules are imported on first use.

`sweeps.study` imports the names of the objectives from here, and the other submodules import `sweeps.study`.
"""

from importlib import import_module

_HOMES = {
    **dict.fromkeys(("best", "objective"), "objectives"),
    **dict.fromkeys(("Proposal", "Search", "completed", "counted", "proposal_table", "proposed"), "proposals"),
    **dict.fromkeys(("state", "trials", "wanted"), "proposals"),
    **dict.fromkeys(("location", "mend"), "storage"),
}
__all__ = list(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'sweeps.search' has no attribute {name!r}")
    return getattr(import_module(f"sweeps.search.{_HOMES[name]}"), name)
