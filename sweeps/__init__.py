"""From a study to a filled store: `plan` and `run`, which are imported when they are first used."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweeps.driver import Outcome, plan, run

__all__ = ["Outcome", "plan", "run"]


def __getattr__(name: str):
    if name not in __all__:
        raise AttributeError(f"module 'sweeps' has no attribute {name!r}")
    from sweeps import driver

    return getattr(driver, name)
