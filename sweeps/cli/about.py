"""amc models, schema: what there is to choose from."""

from __future__ import annotations

from typing import Annotated

import typer

from sweeps.cli.app import app, numeral
from sweeps.cli.show import show_classifiers


@app.command(name="models")
def show_models(
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="The details of this one.")] = None,
    length: Annotated[
        int,
        numeral(
            "--length",
            "a whole number of samples from 8 to 16,384",
            8,
            1 << 14,
            whole=True,
            help="Samples of an instance.",
        ),
    ] = 1024,
    classes: Annotated[
        int,
        numeral(
            "--classes",
            "a whole number from 2 to 10,000",
            2,
            10_000,
            whole=True,
            help="Modulations told apart.",
        ),
    ] = 20,
) -> None:
    """List the classifiers: size, cost of an instance, accepted lengths, hyperparameters, source.

    Example: amc models --length 128 --classes 7, then amc models stn_resnext
    """
    from amc_core.models import MODELS, model_spec

    show_classifiers(list(MODELS.values()) if model is None else [model_spec(model)], length, classes)


@app.command()
def schema() -> None:
    """Print the JSON schema of study files, with which editors complete and check them.

    Example: amc schema > study.schema.json, and "# yaml-language-server: $schema=study.schema.json" atop a study
    """
    import json

    from sweeps.study.schema import study_schema

    print(json.dumps(study_schema(), indent=1))
