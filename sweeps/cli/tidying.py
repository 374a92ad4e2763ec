"""amc store: tidying, merging and checking a store."""

from __future__ import annotations

from typing import Annotated

import typer

from amc_core.errors import AmcError
from amc_core.quantities import bytes_in_words, many
from sweeps.cli.app import Group, StoreDir, app
from sweeps.cli.run_table import Yes, opened, remove_runs, states_of
from sweeps.cli.show import err, out

_LISTED = 8  # runs in a line

tidying = typer.Typer(
    cls=Group,
    help="Tidy, merge and check a store.",
    epilog="Example: amc store gc --keep quickstart, then the same with --yes",
    no_args_is_help=True,
)
app.add_typer(tidying, name="store")


@tidying.command()
def gc(
    keep: Annotated[
        list[str], typer.Option("--keep", metavar="STUDY", help="A study whose runs are kept; may be repeated.")
    ],
    store: StoreDir = "results",
    scale: Annotated[
        str | None, typer.Option("--scale", help="Keep only runs of this scale; by default those of every scale.")
    ] = None,
    yes: Yes = False,
) -> None:
    """Remove all runs except those of some studies, at every scale. Without --yes, only list what would be removed.

    Example: amc store gc --keep quickstart --keep 'p1-*'
    """
    from sweeps.search import proposed
    from sweeps.study import at_every_scale, expanded

    opened_store = opened(store)
    kept = {
        run.key
        for name in expanded(list(keep))
        for study in at_every_scale(name, scale)
        for run in proposed(study, opened_store).runs()
    }
    rows = states_of(None, store, None)
    remove_runs(rows[~rows["run"].isin(kept)], opened_store, yes)


@tidying.command()
def merge(
    source: Annotated[str, typer.Argument(metavar="SRC", help="The other store: a directory, or s3://bucket/prefix.")],
    store: StoreDir = "results",
) -> None:
    """Copy into the store what it lacks and another store holds: runs, cells, checkpoints, labels, but no searches.

    Example: amc store merge /mnt/usb/results
    """
    from sweeps.store import Store
    from sweeps.store.merging import merge_stores

    target, origin = opened(store, exists=False), Store(source)
    if str(target.path) == str(origin.path):
        raise AmcError(f"{source!r} is the store itself: name another store")
    if not origin.files.list("runs"):
        raise AmcError(f"store {source!r} holds no runs")
    target.require_writable()
    merged = merge_stores(target, origin, lambda line: err.print(line, highlight=False, soft_wrap=True))
    out.print(
        f"Copied {many(merged.runs, 'run')} and {many(merged.cells, 'cell')} from {source}, "
        f"{bytes_in_words(merged.size)}.",
        highlight=False,
    )
    if merged.left_out:
        text = f"Left out {many(len(merged.left_out), 'run')}, because weights or the parent's weights differ here"
        out.print(f"{text}: {', '.join(merged.left_out[:_LISTED])}", highlight=False, soft_wrap=True)


@tidying.command()
def check(store: StoreDir = "results") -> None:
    """Read every file of a store and list damaged ones. Nothing changes; the exit code is 1 if a file is damaged.

    Example: amc store check --store results
    """
    from sweeps.store.healing import damages

    opened_store = opened(store)
    damaged, sizes = damages(opened_store), opened_store.sizes()
    for key, names in damaged.items():
        for name in names:
            err.print(f"damaged or outdated: {opened_store.path}/runs/{key}/{name}", highlight=False, soft_wrap=True)
    listing = opened_store.listing()
    records = listing.records()
    cells = sum(map(len, listing.tested(records)))
    text = f"{many(len(sizes), 'run')}, {len(records)} of them trained, {many(cells, 'cell')}, "
    out.print(f"{text}{bytes_in_words(sum(sizes.values()))} in {opened_store.path}.", highlight=False, soft_wrap=True)
    if damaged:
        out.print("'amc run' of their study sets these files aside and computes them again.", highlight=False)
        raise typer.Exit(1)
    out.print("No file is damaged.", highlight=False)
