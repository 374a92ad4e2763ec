"""Searches: what Optuna proposes, as plain studies, and where that is kept. Imported when it is asked for.

A study file takes the names of the objectives from here, and all else here takes studies.
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
