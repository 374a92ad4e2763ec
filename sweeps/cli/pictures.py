"""amc figures, report, saliency, simulate: pictures of results and of signals."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from amc_core.errors import AmcError
from amc_core.quantities import many
from sweeps.cli.app import (
    Formats,
    Limit,
    Scale,
    SnrRange,
    StoreDir,
    StudyName,
    Width,
    app,
    figure_formats,
    inches,
    numeral,
    snr_range,
    study_argument,
)
from sweeps.cli.show import out, show_lack, written
from sweeps.cli.tables import show_check


@app.command()
def figures(
    study: StudyName,
    store: StoreDir = "results",
    scale: Scale = None,
    to: Annotated[Path, typer.Option("--to", help="Directory for the figures.")] = Path("figures"),
    formats: Formats = "png,svg",
    width: Width = None,
    snr: SnrRange = None,
    title: Annotated[str | None, typer.Option("--title", help='The title of the figures; "" for none.')] = None,
    intervals: Annotated[bool, typer.Option("--intervals", help="Write 95 % intervals into the heat map.")] = False,
    limit: Limit = False,
) -> None:
    """Draw a study's figures: the train × test heat map, accuracy over SNR, and the paper's figure of a shipped study.

    Learning curves, confusion matrices and accuracy against parameters are drawn too. p1-fig07, p1-fig08 and p1-fig09
    are figures of signals, which need no store.

    Example: amc figures quickstart --to figures --format pdf --snr 0..10
    """
    from analysis import Results
    from analysis.figures import Wishes, save, study_figures
    from analysis.figures.signals import SIGNAL_FIGURES
    from sweeps.study import study_name

    write = partial(save, formats=figure_formats(formats))
    if study in SIGNAL_FIGURES:
        if width is not None:
            raise AmcError(f"--width is not allowed: {study} is a figure of signals, which has its own size")
        written(write, SIGNAL_FIGURES[study](), to / study)
        return
    wishes = Wishes(inches(width), title, snr_range(snr), intervals, limit)
    results = Results(study, store, scale)
    results.require_cells(study)
    name = "-".join([study_name(study), *([scale] if scale else [])])
    for kind, figure in study_figures(results, wishes):
        written(write, figure, to / (f"{name}-{kind}" if kind else name))
    show_lack(results.study, results.store)
    if limit:
        show_check([results])


@app.command()
def report(
    study: Annotated[
        list[str], study_argument("STUDY|all", "Studies, or all: every known study with cells in the store.")
    ],
    store: StoreDir = "results",
    scale: Scale = None,
    to: Annotated[Path, typer.Option("--to", help="The HTML file to write.")] = Path("report.html"),
    limit: Limit = False,
) -> None:
    """Write one HTML page about studies: heat maps, confusion matrices, curves, and commands that reproduce them.

    Example: amc report quickstart --to report.html
    """
    from analysis import Results
    from analysis.report import held_studies, write
    from sweeps.study import expanded, load_study

    named = [] if study == ["all"] else [(name, load_study(name, scale)) for name in expanded(study)]
    studies = named or held_studies(store, scale)
    try:
        size = write(to, store, studies, limit).stat().st_size
    except OSError as error:
        raise AmcError(f"{str(to)!r} cannot be written: {error.strerror or error}") from None
    names = ", ".join(dict.fromkeys(chosen.name for _, chosen in studies))
    out.print(f"report of {names}: {to}, {size / 1e6:.1f} MB", highlight=False, soft_wrap=True)
    if limit:
        show_check([Results(chosen, store) for _, chosen in studies])


@app.command(name="saliency")
def draw_saliency(
    study: StudyName,
    store: StoreDir = "results",
    scale: Scale = None,
    modulations: Annotated[
        str | None, typer.Option("--modulations", help="Names, separated by commas; by default the study's first two.")
    ] = None,
    snr: Annotated[
        float | None,
        numeral(
            "--snr",
            "a number of dB, from -200, or inf for no noise",
            -200,
            math.inf,
            help="SNR in dB; by default the study's highest.",
        ),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="Only networks of this model.")] = None,
    instance: Annotated[
        int,
        numeral(
            "--instance",
            "a whole number from 0",
            0,
            10**7,
            whole=True,
            help="Index of the instance in the test part.",
        ),
    ] = 0,
    layer: Annotated[
        int,
        numeral(
            "--layer",
            "a whole number",
            -(10**6),
            10**6,
            whole=True,
            help="Index of the convolutional layer; 0 is the first and has the finest resolution, -1 is the last.",
        ),
    ] = 2,  # the deepest in which single transitions between symbols show
    code: Annotated[
        list[Path] | None,
        typer.Option("--code", help="A file of your own network, with the content that trained it; may be repeated."),
    ] = None,
    to: Annotated[Path, typer.Option("--to", help="Directory for the figure.")] = Path("figures"),
    formats: Formats = "png,svg",
) -> None:
    """Draw the I/Q samples that decide the output of a study's trained networks (Grad-CAM, P1 Table II).

    Example: amc saliency quickstart --modulations BPSK,QPSK --snr 18
    """
    from analysis.figures import save
    from analysis.figures.saliency import read, saliency_figure, select
    from sweeps.search import proposed
    from sweeps.store import Store
    from sweeps.study import load_study

    write = partial(save, formats=figure_formats(formats))
    opened_store = Store(store)
    chosen = proposed(load_study(study, scale), opened_store)
    names = [name.strip() for name in modulations.split(",")] if modulations else chosen.file.modulations[:2]
    selection = select(chosen, opened_store, names, model, code or ())
    level = max(chosen.file.snr_db) if snr is None else snr
    readings = read(chosen, opened_store, selection, names, level, instance, layer)
    name = "-".join([chosen.name, *([scale] if scale else []), "saliency", *([model] if model else [])])
    title = f"Importance of I/Q samples at SNR {level:g} dB: {chosen.name}"
    written(write, saliency_figure(readings, title, layer), to / name)
    if selection.left_out:
        out.print(f"Drawn: {selection.left_out}.", highlight=False)


@app.command(name="simulate")
def simulate_signals(
    scenario: Annotated[
        str,
        typer.Argument(
            metavar="SCENARIO", help="A channel's name, augmod, augmod_offsets, or fields such as '{upsampling: 4}'."
        ),
    ],
    modulations: Annotated[
        str, typer.Option("--modulations", help="A set, names separated by commas, or a list as in a study.")
    ] = "complex",
    snr: Annotated[
        float,
        numeral(
            "--snr",
            "a number of dB, from -200, or inf for no noise",
            -200,
            math.inf,
            help="SNR in dB; inf for no noise.",
        ),
    ] = 30.0,
    length: Annotated[
        int,
        numeral(
            "--length",
            "a whole number of samples from 8 to 1,048,576",
            8,
            1 << 20,
            whole=True,
            help="Samples of an instance.",
        ),
    ] = 1024,
    seed: Annotated[int, numeral("--seed", "a whole number from 0", 0, (1 << 63) - 1, whole=True)] = 0,
    to: Annotated[Path, typer.Option("--to", help="Directory for the picture.")] = Path("figures"),
    formats: Formats = "png,svg",
    export: Annotated[
        Path | None,
        typer.Option(
            "--export",
            help="Also write instances to FILE.h5 (RadioML 2018.01A layout), or to a directory as SigMF.",
        ),
    ] = None,
    instances: Annotated[
        int,
        numeral(
            "--instances",
            "a whole number from 1 to 10,000,000",
            1,
            10**7,
            whole=True,
            help="Number of instances of each modulation to export.",
        ),
    ] = 100,
    code: Annotated[
        list[Path] | None,
        typer.Option(
            "--code", help="The file of the scenario's front_end, or a file that it imports; may be repeated."
        ),
    ] = None,
) -> None:
    """Draw a scenario's signals: constellation, waveform and spectrum; optionally export them.

    Example: amc simulate rayleigh --modulations QPSK,16QAM --snr 20 --export signals.h5
    """
    from analysis.figures import save
    from analysis.figures.signals import constellation_grid, signal_figure
    from sweeps.study import parse_modulations, parse_scenario

    write = partial(save, formats=figure_formats(formats))
    chosen = parse_scenario(scenario, code or ())
    names = parse_modulations(modulations)
    chosen.require_length(length)
    if export is not None:
        from amc_core.recordings.export import export_instances, require_exportable

        require_exportable(export)
    draw = signal_figure if len(names) <= 6 else constellation_grid
    named = scenario if scenario.isidentifier() else chosen.paths.name or "channel"
    stem = f"signals-{named}"
    written(write, draw(chosen, names, snr, length, seed), to / stem)
    if export is not None:
        exported = export_instances(export, chosen, names, snr, instances, length, seed)
        out.print(f"{many(instances * len(names), 'instance')}: {exported}", highlight=False, soft_wrap=True)
