"""Searches: what Optuna proposes, as plain studies, and where that is kept."""

from sweeps.search.objectives import best, objective
from sweeps.search.proposals import Proposal, Search, completed, counted, proposed, state, trial_table, trials, wanted
from sweeps.search.storage import location, mend

__all__ = [
    "Proposal",
    "Search",
    "best",
    "completed",
    "counted",
    "location",
    "mend",
    "objective",
    "proposed",
    "state",
    "trial_table",
    "trials",
    "wanted",
]
