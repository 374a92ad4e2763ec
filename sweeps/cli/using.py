"""amc export, classify: use of a trained network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from amc_core.quantities import many
from sweeps.cli.app import StoreDir, app, numeral
from sweeps.cli.show import out, show_whole, written_to

_MOST_SEGMENTS = 200  # on the terminal
Run = Annotated[str, typer.Argument(metavar="RUN", help="The first digits of a run's key; '' with --where.")]
Where = Annotated[
    str | None,
    typer.Option("--where", help="A condition in SQL over the table runs, such as \"model = 'resnet'\"."),
]
Code = Annotated[
    list[Path] | None,
    typer.Option("--code", help="A file of your own network, with the content that trained it; may be repeated."),
]

Length = Annotated[
    int | None,
    numeral(
        "--length",
        "a whole number of samples from 8 to 1,048,576",
        8,
        1 << 20,
        whole=True,
        help="Samples of an instance; by default the length of training.",
    ),
]


@app.command(name="export")
def export_run(
    run: Run = "",
    to: Annotated[Path, typer.Option("--to", help="NAME.onnx, NAME.pt2 or NAME.safetensors.")] = Path("net.onnx"),
    store: StoreDir = "results",
    where: Where = None,
    length: Length = None,
    code: Code = None,
) -> None:
    """Write a trained network to a file for other programs, and compare the file with the network on 100 instances.

    Example: amc export 3f2a91 --to net.onnx
    """
    from amc_core.export import INSTANCES, About, check_instances, export_network, require_exportable
    from analysis import load_run

    require_exportable(to)
    trained = load_run(run, store, code, where=where)
    length = trained.length if length is None else length
    trained.require_length(length)
    about = About(
        trained.key,
        str(trained.model),
        trained.record.hyperparameters,
        trained.classes,
        length,
        trained.normalisation,
        own=bool(trained.record.code),
    )
    x = check_instances(trained.record.dataset, length)
    paths, difference = export_network(to, trained.network, about, x)
    for path in paths:
        out.print(f"written: {path}", highlight=False, soft_wrap=True)
    shapes = f"(batch, 2, {length}) to scores of {', '.join(trained.classes)}"
    out.print(f"{trained.model}, run {trained.key}: {shapes}", highlight=False, soft_wrap=True)
    out.print(f"Compared on {INSTANCES} instances: scores differ by at most {difference:.1g}.", highlight=False)


@app.command(name="classify")
def classify_recordings(
    run: Run,
    file: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE", help="Recordings, a directory of SigMF recordings, or '{file: path, iq: field, …}'."
        ),
    ],
    store: StoreDir = "results",
    where: Where = None,
    length: Length = None,
    code: Code = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the segments to this CSV file.")] = None,
) -> None:
    """Classify recordings, segment by segment, with a trained network.

    Example: amc classify 3f2a91 capture.sigmf-meta --csv segments.csv
    """
    from analysis import load_run
    from analysis.classify import classify, shares
    from sweeps.study.yaml12 import parse_yaml

    files = [parse_yaml(each) if each.startswith("{") else each for each in file]
    rows = classify(load_run(run, store, code, where=where), files, length)
    if csv is not None:
        written_to(csv, lambda path: rows.to_csv(path, index=False), len(rows))
    else:
        _show_segments(rows)
    several = rows["file"].nunique() > 1
    table = Table(*["file"] * several, "class", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("segments", "share", "labelled so"):
        table.add_column(name, justify="right")
    for row in shares(rows).to_dict("records"):
        names = [row["file"]] * several + [row["class"]]
        counts = f"{row['segments']:,}", f"{100 * row['share']:.1f} %", f"{row['labelled']:,}"
        table.add_row(*names, *counts)
    show_whole(table)


def _show_segments(rows) -> None:
    """Print a row for each segment; of many segments, only the first."""
    table = Table("file", "where", "label", "class", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("probability", justify="right")
    for row in rows.head(_MOST_SEGMENTS).to_dict("records"):
        names = row["file"], row["place"], row["label"], row["class"]
        chance = "" if row["probability"] != row["probability"] else f"{row['probability']:.3f}"
        table.add_row(*names, chance)
    show_whole(table)
    if len(rows) > _MOST_SEGMENTS:
        left = many(len(rows) - _MOST_SEGMENTS, "more segment")
        out.print(f"and {left}: --csv FILE writes all", highlight=False)
