"""Output of the commands: tables on the terminal, and a sentence if something was written or went wrong."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD, Box
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from amc_core import quantities
from amc_core.errors import AmcError
from amc_core.quantities import many

if TYPE_CHECKING:  # importing them would make `amc --help` slow
    from amc_core.models import ModelSpec
    from sweeps.planning import Plan
    from sweeps.store import Store
    from sweeps.study import Studies, Study

# Texts are shown as they are: names in a store or a study may have brackets.
out = Console(width=None if sys.stdout and sys.stdout.isatty() else 120, markup=False)
err = Console(stderr=True, markup=False)


def show_classifiers(specs: list[ModelSpec], length: int, classes: int) -> None:
    """Print a row per classifier, the smallest first: size, cost, year, paper; or the details of a single one."""
    sizes = {spec.name: _size_of(spec, length, classes) for spec in specs}
    title = f"at instances of {length:,} samples, {classes} classes"
    if len(specs) > 1:
        table = Table(title=f"Classifiers {title}", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for name in ("model", "", "parameters", "MACs", "lengths", "hyperparameters", "year", "source"):
            counted = name in ("parameters", "MACs", "year")
            table.add_column(name, justify="right" if counted else "left", no_wrap=counted or name in ("model", ""))
        for spec in sorted(specs, key=lambda spec: sizes[spec.name] or (math.inf, 0)):
            size = _size_in_words(sizes[spec.name])
            table.add_row(
                spec.name, spec.title, *size, _lengths(spec), _defaults(spec), str(spec.year or ""), spec.source
            )
    else:
        [spec] = specs
        parameters, operations = _size_in_words(sizes[spec.name])
        table = Table(title=f"{spec.title} {title}", box=SIMPLE_HEAD, show_header=False)
        for row in (
            ("parameters", parameters),
            ("MACs", operations),
            ("lengths", _lengths(spec)),
            ("year", str(spec.year or "")),
            ("source", spec.source),
        ):
            table.add_row(*row)
        for name, entry in spec.hyperparameters.items():
            table.add_row(name, f"{entry.default} ({entry.allowed})")
    out.print(table, highlight=False)
    out.print(
        "MACs: multiply-accumulates of convolutions, dense and recurrent layers and attention for one instance; one "
        "is two\noperations. Element-wise operations, such as the cumulants of HOC-SVM, and Fourier transforms are not "
        "counted.",
        highlight=False,
    )


def _size_of(spec: ModelSpec, length: int, classes: int) -> tuple[int, int] | None:
    """Parameters and multiply-accumulates of a classifier, counted in the network; None if the length is too short."""
    from amc_core.models import MODELS, build_model, shortest_length
    from amc_core.models.complexity import multiply_accumulates, parameters

    if length < shortest_length(spec.name):
        return None
    if spec.knows_setting:  # it solves for the symbols, and has no layers to count
        return 0, 0
    try:
        network = build_model(spec.name, classes, length)
        return parameters(network), multiply_accumulates(network, length)
    except Exception:
        if spec.name in MODELS:
            raise
        return None  # a network of an installed package that fails: a run says why


def _size_in_words(size: tuple[int, int] | None) -> tuple[str, str]:
    if size is None:
        return "too short", ""
    parameters, operations = size
    return f"{parameters:,}", f"{operations / 1e6:,.1f} M" if operations else "none"


def _lengths(spec: ModelSpec) -> str:
    """The lengths of instances that a trained network takes."""
    return f"{'any' if spec.any_length else 'the one trained on,'} from {spec.min_length}"


def _defaults(spec: ModelSpec) -> str:
    """The hyperparameters with their defaults, as the name of a preset if the default is one."""
    named = {
        name: next((preset for preset, value in entry.presets.items() if value == entry.default), entry.default)
        for name, entry in spec.hyperparameters.items()
    }
    return ", ".join(f"{name} {value}" for name, value in named.items())


def written_to(path: Path, write: Callable[[Path], int | object], rows: int | None = None) -> None:
    """Write a table's rows to a file, and say so. rows: their number, unless `write` returns it.

    Raises AmcError if the file cannot be written.
    """
    try:
        count = write(path)
    except OSError as error:
        raise AmcError(f"{str(path)!r} cannot be written: {error}") from None
    rows = count if rows is None else rows
    out.print(f"{many(rows, 'row')} written to {path}", highlight=False)


def written(save: Callable[..., Iterable[Path]], figure, path: Path) -> None:
    """Save a figure, and print the paths. Raises AmcError if a file cannot be written."""
    try:
        for written in save(figure, path):
            out.print(f"figure: {written}", highlight=False, soft_wrap=True)
    except OSError as error:
        raise AmcError(f"{str(path.parent)!r} cannot be written: {error.strerror or error}") from None


_REASONS = 2  # the most frequent reasons of refusal are shown


def show_search_state(study: Study | Studies, store: Store) -> None:
    """Print the progress of a search and its best proposals; print nothing for another study."""
    from sweeps.search import best, counted, state, trials, wanted
    from sweeps.study import SearchStudy

    if not isinstance(study, SearchStudy):
        return
    proposals = trials(study, store)
    states = Counter(state(trial) for trial in proposals)
    rest = "".join(f", {count} {word}" for word, count in sorted(states.items()) if word != "complete")
    if not proposals:
        sizes = [(len(end.runs()), sum(len(end.tests(run)) for run in end.runs())) for end in study.ends]
        runs, cells = (
            " to ".join(f"{n:,}" for n in sorted({min(size), max(size)})) for size in zip(*sizes, strict=True)
        )
        out.print(
            f"To do: {many(study.wanted, 'proposal')}, each of {_several(runs, 'run')} and {_several(cells, 'cell')}.",
            highlight=False,
        )
    complete, total = counted(study, proposals, "COMPLETE"), wanted(study, proposals)
    out.print(f"Search: {complete} of {many(total, 'proposal')} complete{rest}.", highlight=False)
    refusals = Counter(trial.user_attrs.get("failure", "") for trial in proposals if state(trial) == "refused")
    for reason, count in refusals.most_common(_REASONS):
        out.print(f"Refused, {many(count, 'proposal')}: {reason}", highlight=False, soft_wrap=True)
    title = "Best" if len(study.search.objective) == 1 else "Pareto front"
    alike: dict[str, list[str]] = {}  # values and objectives → the proposals with them
    for trial in best(study, proposals):
        values = [f"{name} {value:.4g}" for name, value in zip(study.search.objective, trial.values, strict=True)]
        chosen = [f"{name.removeprefix('models.')} {quantities.written(value)}" for name, value in trial.params.items()]
        alike.setdefault(f"{title_of(', '.join(values))}: {', '.join(chosen)}", []).append(str(trial.number))
    for outcome, numbers in alike.items():
        line = f"{title}: proposal{'s' * (len(numbers) > 1)} {', '.join(numbers)}, {outcome}"
        out.print(line, highlight=False, soft_wrap=True)


def _several(counts: str, noun: str) -> str:
    return f"{counts} {noun}" + ("" if counts == "1" else "s")


def show_plan(study: Study | Studies, plan: Plan) -> None:
    """Print how many runs and cells are named, stored and missing; if there are several studies, also for each."""
    from sweeps.study import SearchStudy, Studies

    if isinstance(study, SearchStudy) and not plan.runs:
        return
    if isinstance(study, Studies):
        _show_parts(study)
    title = f"{study.name}, scale: {study.scale or 'as written'}"
    table = Table("", "named", "in the store", "missing", title=title)
    runs, cells = len(plan.runs), plan.cells
    for name, total, missing in (("runs", runs, plan.untrained), ("cells", cells, plan.missing_cells)):
        table.add_row(name, f"{total:,}", f"{total - missing:,}", f"{missing:,}")
    out.print(table)
    for doubt in sorted({entry.run.doubt for entry in plan.runs} - {""}):
        out.print(f"Note: {doubt}.", highlight=False, soft_wrap=True)
    if not plan.incomplete:
        if not isinstance(study, SearchStudy):  # the plan of a search has only what was proposed
            out.print("Nothing is missing.")
        return
    training = sum(entry.training_work for entry in plan.incomplete)
    evaluation = sum(entry.evaluation_work for entry in plan.incomplete)
    out.print(
        f"To do: train on {many(training, 'instance')} over all epochs, and classify {evaluation:,}.", highlight=False
    )


def _show_parts(studies: Studies) -> None:
    table = Table("study", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("runs", "of them shared", "cells"):
        table.add_column(name, justify="right")
    for part in studies.parts:
        runs = part.runs()
        shared, cells = sum(len(studies.naming(run)) > 1 for run in runs), sum(len(part.tests(run)) for run in runs)
        table.add_row(part.name, f"{len(runs):,}", f"{shared:,}", f"{cells:,}")
    out.print(table)


def show_table(table, trained=None, limits=None, snrs: str = "all SNRs") -> None:
    """Print a train × test table, accuracies in %, in several blocks of columns if it is too wide for one.

    trained: of `analysis.pivots.shares_of_training`. limits: of `analysis.limits.limit_rows`.
    """
    title = f"accuracy in %, mean over seeds and {snrs}; columns: {table.columns.name}"
    shares = table * 0 if trained is None else trained
    rows = [
        (*_headings(table.index.names, entry), *map(_marked, accuracies, parts))
        for entry, accuracies, parts in zip(table.index, table.to_numpy(), shares.to_numpy(), strict=True)
    ]
    for entry, bounds in () if limits is None else zip(limits.index, limits.to_numpy(), strict=True):
        rows.append((*_headings(limits.index.names, entry), *(_marked(bound, 0) for bound in bounds)))
    levels = table.index.nlevels
    heads = [_value_text(table.columns.name, value) for value in table.columns]
    widths = [_GAP + max(map(cell_len, column)) for column in zip(heads, *(row[levels:] for row in rows), strict=True)]
    page = max(out.width, _PAGE) if out.is_terminal else _PAGE
    lefts = {one: natural_width(_block(title, table.index.names, [], rows, slice(0, 0), one)) for one in _BESIDE}
    whole = [one for one in _BESIDE if lefts[one] + sum(widths) <= page]
    beside = next(iter(whole or (one for one in _BESIDE if lefts[one] <= 0.7 * page)), _BESIDE[-1])
    for part in _parts_within(page - lefts[beside], widths):
        show_whole(_block(title, table.index.names, heads, rows, part, beside))
    if trained is not None and (trained > 0).any(axis=None):
        some = ", ° in part the setting of training" if ((trained > 0) & (trained < 1)).any(axis=None) else ""
        out.print(f"* the setting of training{some}", highlight=False)
    if limits is not None and limits.isna().any(axis=None):
        out.print("An empty cell means that no upper bound is known.", highlight=False)


_PAGE = 100  # characters that a table may always take
# Widths of a heading's line in characters: the first that leaves room for all accuracies is taken, or else for some.
_BESIDE = (24, 20, 16, 13, 11)
_GAP = 2  # characters between two columns


def _marked(accuracy: float, trained: float) -> str:
    """An accuracy in %, with the mark of a setting of training."""
    return "" if accuracy != accuracy else f"{100 * accuracy:.1f}{'*' if trained == 1 else '°' if trained > 0 else ' '}"


def _parts_within(room: int, widths: list[int]) -> Iterator[slice]:
    """Columns in parts that fit into `room` characters, each of at least one column."""
    start = used = 0
    for column, width in enumerate(widths):
        if column > start and used + width > room:
            yield slice(start, column)
            start, used = column, 0
        used += width
    yield slice(start, len(widths))


def _block(title: str, names: list, heads: list[str], rows: list[tuple[str, ...]], part: slice, beside: int) -> Table:
    """A block with some columns of a table, and the headings of all its rows."""
    shown = Table(title=title, box=SIMPLE_HEAD if out.is_terminal else _PLAIN_HEAD, padding=(0, 1, 0, 0))
    for name in names:
        width = None if name == "model" else beside
        shown.add_column(str(name).replace("_", "_\n", 1), vertical="bottom", max_width=width, overflow="fold")
    for head in heads[part]:
        shown.add_column(head, justify="right", no_wrap=True, vertical="bottom")
    for row in rows:
        shown.add_row(*row[: len(names)], *row[len(names) :][part])
    return shown


_PLAIN_HEAD = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)  # readable for other programs


def _headings(names, entry) -> list[str]:
    entry = entry if isinstance(entry, tuple) else (entry,)
    pairs = zip(names, entry, strict=True)
    return ["" if value is None or value != value else _value_text(name, value) for name, value in pairs]


def _value_text(column: object, value: object) -> str:
    """A value of a column; if no recording is named, the signal is simulated. Of scikit-learn's classes, the name."""
    if column == "classifier":
        return str(value).rpartition(".")[2]
    return "simulated" if value == "" and str(column).endswith("_recording") else words(value)


def snrs_in_words(snrs) -> str:
    """A column of SNRs as "SNR -6 to 18 dB"."""
    low, high = snrs.min(), snrs.max()
    known = [] if low != low else [f"SNR {low:g} dB" if low == high else f"SNR {low:g} to {high:g} dB"]
    return " and ".join(known + ["unknown SNR"] * bool(snrs.isna().any()))


def show_whole(table: Table) -> None:
    """Print a table without cutting numbers, even if it is wider than the terminal."""
    Console(width=max(out.width, natural_width(table)), markup=False).print(table)


def natural_width(table: Table) -> int:
    """The width of a table in characters if nothing limits it."""
    return Measurement.get(out, out.options.update(max_width=10_000), table).maximum


def title_of(name: object) -> str:
    """A column's name in words."""
    return str(name).replace("_", " ")


def words(value: object) -> str:
    """A value in words; for a mixture, its different parts."""
    from amc_core.reference import different

    text = quantities.written(value)
    each_once = different(text)
    return each_once if each_once == text else f"{each_once} ({len(text.split(' + '))} parts)"


def show_lack(study: Study, store: Store) -> None:
    """Say on standard error how many cells a table or a figure of a study lacks, if it lacks any."""
    from sweeps.planning import make_plan

    plan = make_plan(study, store)
    if plan.missing_cells:
        verb = "is" if plan.missing_cells == 1 else "are"
        missing = f"{plan.missing_cells:,} of {many(plan.cells, 'cell')} {verb} missing"
        err.print(f"{missing}; 'amc run' computes what is missing.", highlight=False)


def complain(message: str) -> None:
    """One sentence on standard error, if that can be written."""
    with suppress(OSError):
        err.print(f"amc: {message}", style="red", highlight=False, soft_wrap=True)
