"""The command `amc`, and the arguments that its commands share."""

from __future__ import annotations

from typing import Annotated

import typer
from typer.core import TyperGroup

_ORDER = ("plan", "run", "status", "runs", "results", "compare", "query", "figures", "report", "search")  # then others


class _Ordered(TyperGroup):
    """Lists first what is needed first."""

    def list_commands(self, context) -> list[str]:
        return sorted(super().list_commands(context), key=lambda name: (*_ORDER, name).index(name))


app = typer.Typer(
    cls=_Ordered,
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
