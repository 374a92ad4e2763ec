"""The command `amc`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from amc_core.errors import AmcError
from amc_core.modulations import MODULATIONS, modulation_names
from sweeps.plan import Plan, expected_seconds, make_plan, require_recordings
from sweeps.search import Search, completed, location, mend, proposed, trial_table
from sweeps.show import (
    as_written,
    err,
    out,
    show_classifiers,
    show_plan,
    show_table,
    show_trials,
    words,
    written,
    written_to,
)
from sweeps.store import Store
from sweeps.study import SearchStudy, Studies, Study, expanded, load_studies, load_study, parse_scenario

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
    typer.Option("--scale", help="smoke, small, paper, or a scale of the study: sets instances, epochs and trials."),
]


@app.command()
def plan(study: StudyNames, store: StoreDir = "results", scale: Scale = None) -> None:
    """Show what a study, or several together, still have to compute, before anything runs.

    Example: amc plan quickstart, or amc plan 'p1-*' --scale small
    """
    place = Store(store)
    chosen = proposed(load_studies(study, scale), place)
    found = make_plan(chosen, place)
    require_recordings(found)
    _show_missing(chosen, found)
    for device, seconds in sorted(expected_seconds(found, place).items() if found.incomplete else ()):
        duration = timedelta(seconds=max(1, round(seconds)))
        out.print(f"By what runs in the store took, that is {duration} for one trial at a time on {device}.")
    show_trials(chosen, place)


@app.command()
def run(
    study: StudyNames,
    store: StoreDir = "results",
    scale: Scale = None,
    address: Annotated[
        str | None,
        typer.Option("--address", help="host:port of a Ray cluster, or auto; otherwise Ray is started here."),
    ] = None,
    gpus_per_trial: Annotated[
        float | None, typer.Option("--gpus-per-trial", min=0, help="GPUs, or a fraction of one, for each trial.")
    ] = None,
    log: Annotated[
        str | None, typer.Option("--log", help="Also write learning curves: tensorboard, mlflow or wandb, under logs/.")
    ] = None,
) -> None:
    """Compute what a study, or several together, name and the store lacks; run it again to resume.

    Example: amc run quickstart --store results --scale smoke
    """
    chosen, place = load_studies(study, scale), Store(store)
    if isinstance(chosen, SearchStudy) and (damage := mend(chosen, place)):
        err.print(damage, highlight=False, markup=False, soft_wrap=True)
    _set_aside(place, (run.key for run in proposed(chosen, place).runs()))
    chosen = completed(chosen, place)  # of a search; what it has begun, it proposes again
    before = make_plan(chosen, place)
    require_recordings(before)
    show_plan(chosen, before)
    search = None
    if isinstance(chosen, SearchStudy):
        require_recordings(make_plan(replace(chosen, proposals=chosen.ends), place))
        place.require_writable()
        search = Search(chosen, place)
    if not before.incomplete and not (search and search.wanted):
        show_trials(chosen, place)
        if search:
            _show_elsewhere(search)
        return
    from sweeps.launch import launch
    from sweeps.progress import Progress

    with Progress(before, out, lambda: search.heading if search else "") as progress:
        launch(chosen, before, place, progress, address, gpus_per_trial, log, search)
    trained = {entry.run.key for entry in before.runs if not entry.trained}
    heirs = [entry.run for entry in before.runs if entry.trained and entry.run.parent]
    _set_aside(place, (run.key for run in heirs if run.parent.key in trained))  # which may have other weights now
    after = make_plan(completed(chosen, place), place)
    show_trials(chosen, place)
    if after.incomplete:
        for left in after.incomplete:
            start = left.run.parent
            waited = f"not begun, since it starts from run {start.key}" if start else "not finished"
            line = f"run {left.run.key} ({left.run.model}): {progress.failures.get(left.run.key, waited)}"
            err.print(line, highlight=False, markup=False, soft_wrap=True)
        err.print(
            f"{len(after.incomplete)} of {len(after.runs)} runs are incomplete; the same command tries them again."
        )
        raise typer.Exit(1)
    if search and search.done < search.trials:
        if _show_elsewhere(search):
            return
        for key, reason in progress.failures.items():
            err.print(f"run {key}: {reason}", highlight=False, markup=False, soft_wrap=True)
        err.print(f"{search.done} of {search.trials} trials are complete; the same command proposes others.")
        raise typer.Exit(1)
    verb = "are" if isinstance(chosen, Studies) else "is"
    out.print(
        f"{chosen.name} {verb} complete: {len(after.runs)} runs, {after.cells} cells in {store}.", highlight=False
    )


def _show_elsewhere(search: Search) -> bool:
    """Say that all that a search lacks is being computed by other drivers, if that is so."""
    missing = search.trials - search.done
    if not 0 < missing <= search.elsewhere:
        return False
    what = "1 trial is" if missing == 1 else f"{missing} trials are"
    out.print(f"{what} being computed by another driver, and nothing else is missing.", highlight=False)
    return True


@app.command()
def status(
    study: Annotated[
        list[str] | None, typer.Argument(metavar="[STUDY...]", help="Look at these studies only.", show_default=False)
    ] = None,
    store: StoreDir = "results",
    scale: Scale = None,
) -> None:
    """Show what is in a store: finished, begun and failed runs. Works while a study runs.

    Example: amc status quickstart --store results
    """
    place = Store(store)
    listing = place.listing()
    trained, training, failures = listing.trained(), listing.training(), listing.failures()
    if study:
        chosen = proposed(load_studies(study, scale), place)
        _show_missing(chosen, make_plan(chosen, place))
        show_trials(chosen, place)
        keys = {run.key for run in chosen.runs()}
        trained, training = trained & keys, training & keys
        failures = {key: failure for key, failure in failures.items() if key in keys}
    out.print(f"{len(trained)} runs trained, {len(training)} begun, {len(failures)} failed in {store}", highlight=False)
    for key, failure in failures.items():
        reason = failure["reason"].strip().splitlines()[-1]
        out.print(f"  {key} failed at {failure['failed_at']}: {reason}", highlight=False, markup=False)


@app.command()
def results(
    study: StudyName,
    store: StoreDir = "results",
    scale: Scale = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the cells to this CSV file.")] = None,
    parquet: Annotated[Path | None, typer.Option("--parquet", help="Write the cells to this Parquet file.")] = None,
) -> None:
    """Print a study's train × test table; optionally write its cells, a row per run, test scenario and SNR.

    Example: amc results quickstart --csv quickstart.csv
    """
    from analysis import Results, train_test

    cells = Results(study, store, scale).require_cells(study)
    show_table(train_test(cells))
    # A Parquet column holds numbers or texts: one where some values are distributions becomes text.
    mixed = {name: "str" for name in cells if cells[name].dtype == object}
    writers = (csv, lambda path: cells.to_csv(path, index=False)), (parquet, cells.astype(mixed).to_parquet)
    for path, write in writers:
        if path is not None:
            written_to(path, write, len(cells))


@app.command()
def figures(
    study: StudyName,
    store: StoreDir = "results",
    scale: Scale = None,
    to: Annotated[Path, typer.Option("--to", help="Directory for the figures.")] = Path("figures"),
) -> None:
    """Draw a study's figures as PNG and SVG: the train × test heat map; of a shipped study, the paper's figure.

    Learning curves, confusion matrices and accuracy against parameters come beside it. p1-fig07, p1-fig08 and
    p1-fig09 are figures of signals, which need no store.

    Example: amc figures quickstart --to figures
    """
    from analysis.figures import save, study_figures, train_test_heat_map
    from analysis.figures.signals import SIGNAL_FIGURES
    from analysis.results import Results

    if study in SIGNAL_FIGURES:
        written(save, SIGNAL_FIGURES[study](), to / study)
        return
    results = Results(study, store, scale)
    cells = results.require_cells(study)
    name = "-".join([Path(study).name.removesuffix(".yaml"), *([scale] if scale else [])])
    written(save, train_test_heat_map(cells, f"Accuracy by training and test setting: {name}"), to / name)
    for kind, figure in study_figures(results):
        written(save, figure, to / f"{name}-{kind}")


@app.command(name="simulate")
def simulate_signals(
    scenario: Annotated[
        str,
        typer.Argument(
            metavar="SCENARIO", help="A channel's name, augmod, augmod_offsets, or fields: '{upsampling: 4}'."
        ),
    ],
    modulations: Annotated[str, typer.Option("--modulations", help="A set, or names with commas.")] = "complex",
    snr: Annotated[float, typer.Option("--snr", help="dB; inf for no noise.")] = 30.0,
    length: Annotated[int, typer.Option("--length", min=8, max=1 << 20, help="Samples of an instance.")] = 1024,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    to: Annotated[Path, typer.Option("--to", help="Directory for the picture.")] = Path("figures"),
    export: Annotated[
        Path | None,
        typer.Option("--export", help="Also write instances: FILE.h5 (RadioML 2018.01A layout), or a SigMF name."),
    ] = None,
    instances: Annotated[int, typer.Option("--instances", min=1, help="Exported of each modulation.")] = 100,
) -> None:
    """Draw a scenario's signals: constellation, waveform and spectrum; optionally export them.

    Example: amc simulate rayleigh --modulations QPSK,16QAM --snr 20 --export signals.h5
    """
    from analysis.figures import save
    from analysis.figures.signals import constellation_grid, signal_figure

    chosen = parse_scenario(scenario)
    names = modulation_names([modulations] if modulations in MODULATIONS else _listed(modulations))
    chosen.require_length(length)
    draw = signal_figure if len(names) <= 6 else constellation_grid
    stem = f"signals-{chosen.paths.name or 'channel'}"
    written(save, draw(chosen, names, snr, length, seed), to / stem)
    if export is not None:
        from amc_core.recordings.export import export_instances

        exported = export_instances(export, chosen, names, snr, instances, length, seed)
        out.print(f"{instances * len(names)} instances: {exported}", highlight=False, soft_wrap=True)


@app.command()
def schema() -> None:
    """Print the JSON schema of study files, with which editors complete and check them.

    Example: amc schema > study.schema.json, and "# yaml-language-server: $schema=study.schema.json" atop a study
    """
    import json

    from sweeps.schema import study_schema

    print(json.dumps(study_schema(), indent=1))


@app.command(name="saliency")
def draw_saliency(
    study: StudyName,
    store: StoreDir = "results",
    scale: Scale = None,
    modulations: Annotated[
        str | None, typer.Option("--modulations", help="Names with commas; otherwise the study's first two.")
    ] = None,
    snr: Annotated[float | None, typer.Option("--snr", help="dB; otherwise the study's highest.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Of this model only.")] = None,
    instance: Annotated[int, typer.Option("--instance", min=0, help="Which instance of the test part.")] = 0,
    layer: Annotated[
        int, typer.Option("--layer", help="Convolutional layer; 0 is the first and the finest, -1 the last.")
    ] = 2,  # the deepest in which single transitions between symbols show
    to: Annotated[Path, typer.Option("--to", help="Directory for the figure.")] = Path("figures"),
) -> None:
    """Draw which I/Q samples a study's trained networks decide by (Grad-CAM, P1 Table II), as PNG and SVG.

    Example: amc saliency quickstart --modulations BPSK,QPSK --snr 18
    """
    from analysis.figures import save
    from analysis.figures.saliency import read, saliency_figure, select

    place = Store(store)
    chosen = proposed(load_study(study, scale), place)
    names = [name.strip() for name in modulations.split(",")] if modulations else chosen.file.modulations[:2]
    selection = select(chosen, place, names, model)
    level = max(chosen.file.snr_db) if snr is None else snr
    readings = read(chosen, place, selection, names, level, instance, layer)
    name = "-".join([chosen.name, *([scale] if scale else []), "saliency", *([model] if model else [])])
    title = f"Importance of I/Q samples at SNR {level:g} dB: {chosen.name}"
    written(save, saliency_figure(readings, title, layer), to / name)
    if selection.left_out:
        out.print(f"Drawn: {selection.left_out}.", highlight=False)


@app.command(name="models")
def show_models(
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="The details of this one.")] = None,
    length: Annotated[int, typer.Option("--length", min=8, max=1 << 14, help="Samples of an instance.")] = 1024,
    classes: Annotated[int, typer.Option("--classes", min=2, max=10_000, help="Modulations told apart.")] = 20,
) -> None:
    """List the classifiers: size, cost of an instance, accepted lengths, hyperparameters, source.

    Example: amc models --length 128 --classes 7, then amc models stn_resnext
    """
    from amc_core.models import MODELS, model_spec

    show_classifiers(list(MODELS.values()) if model is None else [model_spec(model)], length, classes)


@app.command()
def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="A SELECT over runs, epochs, cells and confusion.")],
    store: StoreDir = "results",
    study: Annotated[str | None, typer.Option("--study", help="Only what this study selects.")] = None,
    scale: Scale = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the rows to this CSV file.")] = None,
    parquet: Annotated[Path | None, typer.Option("--parquet", help="Write the rows to this Parquet file.")] = None,
) -> None:
    """Answer a question in SQL from the tables of a store.

    Example: amc query "SELECT model, snr_db, sum(correct) / sum(n) AS accuracy FROM cells GROUP BY ALL ORDER BY ALL"
    """
    from analysis.query import query as answer

    rows = answer(sql, store, study, scale)
    if csv is not None:
        written_to(csv, lambda path: rows.to_csv(path, index=False), len(rows))
    if parquet is not None:
        written_to(parquet, lambda path: rows.to_parquet(path, index=False), len(rows))
    if csv or parquet:
        return
    shown = Table(*rows.columns, box=SIMPLE_HEAD)
    for row in rows.head(_MOST_ROWS).itertuples(index=False):
        shown.add_row(*(f"{value:.6g}" if isinstance(value, float) else escape(str(value)) for value in row))
    out.print(shown)
    if len(rows) > _MOST_ROWS:
        out.print(f"{len(rows) - _MOST_ROWS:,} more rows: --csv or --parquet FILE writes all.", highlight=False)


_MOST_ROWS = 200  # of a query, on the terminal


@app.command()
def compare(
    study: Annotated[str | None, typer.Argument(metavar="[STUDY]", help="Only numbers that this study gives.")] = None,
    store: StoreDir = "results",
    scale: Scale = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the rows, with the papers' words, here.")] = None,
) -> None:
    """Set results beside the numbers that the two papers report, with the scale at which they were computed.

    Example: amc compare p1-fig02 --scale small
    """
    from analysis.compare import compare as set_beside
    from analysis.compare import in_words

    rows = set_beside(study, store, scale)
    if csv is not None:
        written_to(csv, lambda path: rows.to_csv(path, index=False), len(rows))
        return
    shown = Table("what", "where", "published", "ours", "run at", "verdict", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for row in rows.to_dict("records"):
        shown.add_row(row["what"], f"{row['paper']} {row['place']}", *in_words(row), row["run_at"], row["verdict"])
    out.print(shown)
    verdicts = rows["verdict"].value_counts()
    out.print(", ".join(f"{count} {name}" for name, count in verdicts.items()), highlight=False)
    if set(verdicts.index) != {"not run"}:
        note = "run at: scale, instances of a modulation and SNR × epochs; intervals: 95 %, of the instances tested."
        out.print(note, highlight=False)


@app.command()
def report(
    study: Annotated[
        list[str],
        typer.Argument(metavar="STUDY…|all", help="Studies, or all: those here whose cells are in the store."),
    ],
    store: StoreDir = "results",
    scale: Scale = None,
    to: Annotated[Path, typer.Option("--to", help="The HTML file to write.")] = Path("report.html"),
) -> None:
    """Write studies as one HTML page: heat maps, confusion matrices, curves, and how to reproduce them.

    Example: amc report quickstart --to report.html
    """
    from analysis.report import found, write

    named = [] if study == ["all"] else [(name, load_study(name, scale)) for name in expanded(study)]
    studies = named or found(store, scale)
    try:
        size = write(to, store, studies).stat().st_size
    except OSError as error:
        raise AmcError(f"{str(to)!r} cannot be written: {error.strerror or error}") from None
    told = ", ".join(dict.fromkeys(chosen.name for _, chosen in studies))
    out.print(f"report of {told}: {to}, {size / 1e6:.1f} MB", highlight=False, markup=False, soft_wrap=True)


@app.command(name="search")
def show_search(
    study: StudyName,
    store: StoreDir = "results",
    scale: Scale = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the trials to this CSV file.")] = None,
) -> None:
    """Show what a study's search has tried, how well it did, and which is best. Works while it runs.

    Example: amc search architecture-search --csv trials.csv
    """
    chosen, place = load_study(study, scale), Store(store)
    if not isinstance(chosen, SearchStudy):
        raise AmcError(f"{study} searches nothing: it has no section search")
    table = trial_table(chosen, place)
    columns = [name for name in table if name != "failure" or table[name].any()]
    shown = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in columns:
        title = words(name.removeprefix("models.").removeprefix("recipe.").replace(".recipe.", "."))
        shown.add_column(title.replace(".", "\n"), vertical="bottom", overflow="fold")
    for row in table[columns].itertuples(index=False):
        shown.add_row(*map(as_written, row))
    out.print(shown)
    show_trials(chosen, place)
    if csv is not None:
        written_to(csv, lambda path: table.to_csv(path, index=False), len(table))
    out.print(f"Live in a browser: optuna-dashboard {location(chosen, place)}", highlight=False, soft_wrap=True)


def _set_aside(place: Store, keys: Iterable[str]) -> None:
    for name in place.verify(keys):
        line = f"damaged or outdated, set aside in {place.path}/damaged: {name}"
        err.print(line, highlight=False, markup=False, soft_wrap=True)


def _show_missing(study: Study | Studies, found: Plan) -> None:
    show_plan(study, found)
    if found.damaged:
        out.print(f"Damaged files of cells: {found.damaged}; what they held is missing, 'amc run' computes it again.")


def _listed(modulations: str) -> str | list[str]:
    return [name.strip() for name in modulations.split(",")] if "," in modulations else modulations
