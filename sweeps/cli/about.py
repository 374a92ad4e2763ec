"""amc models, schema: the classifiers, and the schema of study files."""

from __future__ import annotations

from typing import Annotated

import typer

from sweeps.cli.app import app, numeral
from sweeps.cli.show import show_classifiers


@app.command(name="models")
def show_models(
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help="Show the details of this classifier.")] = None,
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
            help="Number of modulations.",
        ),
    ] = 20,
) -> None:
    """List the classifiers, including those of installed packages: size, cost, lengths, hyperparameters, source.

    Example: amc models --length 128 --classes 7, then amc models stn_resnext
    """
    from amc_core.installed import installed_models
    from amc_core.models import MODELS, model_spec

    installed = installed_models()
    every = [*MODELS.values(), *(entry.spec for entry in installed.values())]
    show_classifiers(every if model is None else [model_spec(installed.get(model, model))], length, classes)


@app.command()
def schema() -> None:
    """Print the JSON schema of study files. Editors use it to complete and check them.

    Example: amc schema > study.schema.json, and "# yaml-language-server: $schema=study.schema.json" as the first line
    of a study
    """
    import json

    from sweeps.study.schema import study_schema

    print(json.dumps(study_schema(), indent=1))
