"""The command `amc`, and the arguments that its commands share."""

from __future__ import annotations

import math
from typing import Annotated, Any

import typer

from amc_core import quantities
from amc_core.errors import AmcError


def numeral(flag: str, allowed: str, low: float, high: float, whole: bool = False, help: str | None = None) -> Any:
    """An option of a number from low to high, which is read as studies read theirs.

    allowed: what the AmcError says of any other value.
    """
    read = quantities.whole if whole else quantities.number

    def value(text: str | float) -> str | float:
        infinite = isinstance(text, str) and text.strip().lower() in ("inf", "+inf", ".inf")
        found = math.inf if infinite else read(text)
        return text if found is None or not low <= found <= high else found

    def require(found: str | float | None) -> float | None:
        if isinstance(found, str):  # a ValueError that the parser raises would end in a box
            raise AmcError(f"{flag} {found!r} is not allowed: it is {allowed}")
        return found

    metavar = "INTEGER" if whole else "NUMBER"
    return typer.Option(flag, parser=value, callback=require, metavar=metavar, help=help)


app = typer.Typer(
    help="Scenario and hyperparameter sweeps for automatic modulation classification.",
    epilog="Example: amc run quickstart, then amc results quickstart",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="A study file, or the name of a shipped study.")]
StudyNames = Annotated[
    list[str],
    typer.Argument(metavar="STUDY...", help="Study files, names of shipped studies, or patterns of such names."),
]
StoreDir = Annotated[str, typer.Option("--store", help="Directory that holds runs and cells of all studies.")]
Scale = Annotated[
    str | None,
    typer.Option("--scale", help="smoke, small, paper, or a scale of the study: sets instances, epochs and proposals."),
]
