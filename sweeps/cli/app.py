"""The command `amc`, and the arguments that its commands share."""

from __future__ import annotations

import logging
import math
import re
from glob import escape, glob
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from amc_core import quantities
from amc_core.errors import AmcError, require_known

_ORDER = ("plan", "run", "status", "runs", "results", "compare", "query", "figures", "report", "search")  # then others

_SHIPPED = Path(__file__).parents[1] / "studies"  # as in sweeps.study, which is too slow to import for completion
SCALE_NAMES = ("smoke", "small", "medium", "paper")


class Group(TyperGroup):
    """A group of commands, whose help fits the terminal and shows flags without a type."""

    def get_command(self, context, name: str):
        command = super().get_command(context, name)
        if command is not None:
            paragraphs = (command.help or "").split("\n\n")  # Typer would keep the line breaks of the second
            command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
            _untype_flags(command.get_params(context))
        return command

    def get_params(self, context) -> list:
        return _untype_flags(super().get_params(context))


def _untype_flags(parameters: list) -> list:
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""  # else Typer writes <bool>, as if a value had to follow
    return parameters


class _Ordered(Group):
    """Lists commands in the order in which they are needed."""

    def list_commands(self, context) -> list[str]:
        return sorted(super().list_commands(context), key=lambda name: (*_ORDER, name).index(name))


def tell_limits(wanted: bool) -> bool:
    """The value of an option, unchanged; if it is true, lines on standard error report the progress of upper bounds."""
    log = logging.getLogger("analysis.limits")
    if wanted and not log.handlers:
        log.addHandler(logging.StreamHandler())
        log.setLevel(logging.INFO)
    return wanted


def numeral(flag: str, allowed: str, low: float, high: float, whole: bool = False, help: str | None = None) -> Any:
    """An option for a number from low to high, which is read like the numbers in studies.

    allowed: the allowed values in words, for messages.
    """
    read = quantities.whole if whole else quantities.number

    def value(text: str | float) -> str | float:
        infinite = isinstance(text, str) and text.strip().lower() in ("inf", "+inf", ".inf")
        number = math.inf if infinite else read(text)
        return text if number is None or not low <= number <= high else number

    def require(number: str | float | None) -> float | None:
        if isinstance(number, str):  # Typer would print a ValueError of the parser in a box
            raise AmcError(f"{flag} {number!r} is not allowed: it has to be {allowed}")
        return number

    metavar = "INTEGER" if whole else "NUMBER"
    return typer.Option(flag, parser=value, callback=require, metavar=metavar, help=help)


app = typer.Typer(
    cls=_Ordered,
    help="Scenario and hyperparameter sweeps for automatic modulation classification.",
    epilog="Example: amc run quickstart, then amc results quickstart",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        from amc_core import kernels
        from amc_core.identity import VERSION

        try:
            release = version("amc-sweeps")
        except PackageNotFoundError:  # a checkout that is not installed
            release = "not installed"
        compiled = "compiled" if kernels.library() else "PyTorch's, slower: the package was built without a C compiler"
        typer.echo(f"amc-sweeps {release}, definitions of version {VERSION}, kernels: {compiled}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Scenario and hyperparameter sweeps for automatic modulation classification."""


def study_names(incomplete: str) -> list[str]:
    """Completions of the beginning of a study's name: shipped studies, and study files."""
    shipped = sorted(path.stem for path in _SHIPPED.glob("*.yaml"))
    return [name for name in shipped if name.startswith(incomplete)] + sorted(glob(f"{escape(incomplete)}*.yaml"))


def study_argument(metavar: str, help: str) -> Any:
    """An argument for studies, whose names a shell completes."""
    return typer.Argument(metavar=metavar, help=help, autocompletion=study_names, show_default=False)


StudyName = Annotated[str, study_argument("STUDY", "A study file, or the name of a shipped study.")]
StudyNames = Annotated[
    list[str], study_argument("STUDY", "Study files, names of shipped studies, or patterns of such names.")
]
StoreDir = Annotated[str, typer.Option("--store", help="Directory that holds runs and cells of all studies.")]
Scale = Annotated[
    str | None,
    typer.Option(
        "--scale",
        help="smoke, small, medium, paper, or a scale of the study. It sets instances, epochs, batches and proposals.",
        autocompletion=lambda: list(SCALE_NAMES),
    ),
]
Limit = Annotated[
    bool,
    typer.Option(
        "--limit",
        help="Add the upper bound of any classifier, if it is known; may take minutes the first time.",
        callback=tell_limits,
    ),
]
SnrRange = Annotated[
    str | None,
    typer.Option("--snr", metavar="LOW..HIGH", help="Only SNRs from LOW to HIGH in dB, or one SNR: --snr 10."),
]

Formats = Annotated[str, typer.Option("--format", help="pdf, png or svg, or several of them, separated by commas.")]
Width = Annotated[
    str | None,
    typer.Option("--width", help="A width such as 3.5in or 89mm; by default a column of an IEEE page, or both."),
]


def figure_formats(text: str) -> list[str]:
    """ "pdf,png" as ["pdf", "png"], each once. Raises AmcError for a format that figures do not have."""
    from analysis.figures.style import FORMATS  # Matplotlib takes a while to import

    kinds = listed(text)
    require_known("format", kinds, FORMATS)
    return list(dict.fromkeys(kinds))


def snr_range(text: str | None) -> tuple[float, float] | None:
    """ "0..10" as (0.0, 10.0) in dB, "10" as (10.0, 10.0). Raises AmcError for anything else."""
    if text is None:
        return None
    low, dots, high = text.partition("..")
    bounds = quantities.number(low), quantities.number(high if dots else low)
    if None in bounds or not bounds[0] <= bounds[1]:
        raise AmcError(f"--snr {text!r} is not allowed: give one SNR in dB, or two as in 0..10, the lower first")
    return bounds


def inches(text: str | None) -> float | None:
    """ "3.5in", "89mm" or "8.9cm" in inches. Raises AmcError for anything else, and outside 1.5 to 20 inches."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(in|cm|mm)", text)
    width = float(match[1]) / {"in": 1, "cm": 2.54, "mm": 25.4}[match[2]] if match else math.nan
    if not 1.5 <= width <= 20:
        raise AmcError(f"--width {text!r} is not allowed: give 1.5in to 20in, such as 3.5in, also in mm or cm")
    return width


def listed(text: str | None) -> list[str] | None:
    """Names separated by commas, as a list."""
    return text if text is None else [name.strip() for name in text.split(",")]
