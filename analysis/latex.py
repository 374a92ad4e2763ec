"""Tables for a paper."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from amc_core.errors import AmcError, require_known
from amc_core.models import MODELS
from amc_core.reference import axis, name_of, value_text
from analysis.pivots import natural_order

_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_SPECIAL |= {character: f"\\{character}" for character in "&%$#_{}"}
_GREEK = {"α": r"$\alpha$", "β": r"$\beta$", "Δ": r"$\Delta$", "→": r"$\rightarrow$", "−": "$-$"}


def to_latex(
    table: pd.DataFrame, rows: str | Sequence[str], columns: str | None = None, value: str = "accuracy", digits: int = 1
) -> str:
    """A LaTeX table (package booktabs) from a table of `accuracy_by` or `drop_from_training`, in %, with intervals.

    The best value of each column is bold: the highest accuracy, or the lowest drop.

    Parameters:
        table: The data frame.
        rows: The columns whose values make rows.
        columns: The column whose values make columns, None for one column of values.
        value: "accuracy", or another column with bounds value_low and value_high.
        digits: Digits after the decimal point.

    Returns:
        The table as a text, to be written to a .tex file.

    Raises:
        AmcError: A column is missing, or rows and columns leave several values for one cell of the table.
    """
    rows = [rows] if isinstance(rows, str) else list(rows)
    require_known("column", [*rows, *([columns] if columns else []), value], table)
    if table.duplicated([*rows, *([columns] if columns else [])]).any():
        raise AmcError(f"rows {rows} and columns {columns!r} leave several values for one cell: name all that varies")
    heads = natural_order(table[columns].unique()) if columns else [None]
    lines = {}
    for number, head in enumerate(heads):
        own = table[table[columns].isin([head])] if columns else table
        best = own[value].min() if value == "drop" else own[value].max()
        for row in own.to_dict("records"):
            key = tuple(None if pd.isna(row[name]) else row[name] for name in rows)
            lines.setdefault(key, {})[number] = _cell(row, value, digits, row[value] == best)
    titles = [_title(name) for name in rows]
    titles += [_value(columns, head) for head in heads] if columns else [_escaped(value)]
    body = [
        " & ".join(
            [
                *(_value(name, part) for name, part in zip(rows, key, strict=True)),
                *(cells.get(number, "--") for number in range(len(heads))),
            ]
        )
        for key, cells in lines.items()
    ]
    above = []
    if columns:
        span = rf"\multicolumn{{{len(heads)}}}{{c}}{{{_title(columns)}}}"
        rule = rf"\cmidrule(lr){{{len(rows) + 1}-{len(rows) + len(heads)}}}"
        above = [f"{' & '.join([*[''] * len(rows), span])} \\\\", rule]
    head = [*above, f"{' & '.join(titles)} \\\\", r"\midrule"]
    shape = "l" * len(rows) + "r" * len(heads)
    end = [f"{line} \\\\" for line in body]
    return "\n".join([rf"\begin{{tabular}}{{{shape}}}", r"\toprule", *head, *end, r"\bottomrule", r"\end{tabular}", ""])


def _title(column: str) -> str:
    """ "train channel", "test sample rate in kHz"."""
    side = "" if name_of(column) == column else f"{column.partition('_')[0]} "
    return _escaped(side + axis(column))


def _value(column: str, value: object) -> str:
    """A value without its unit, which is in the title; a dash for none."""
    if column == "model" and value in MODELS:
        return _escaped(MODELS[value].title)
    text = "" if pd.isna(value) else value_text(column, value)
    return _escaped(f"−{text[1:]}" if text.startswith("-") else text) or "--"


def _cell(row: dict, value: str, digits: int, best: bool) -> str:
    """ "51.7 [48.7, 54.8]" in %; the best value is bold."""
    text = f"{100 * row[value]:.{digits}f}"
    bounds = [row.get(f"{value}_{side}") for side in ("low", "high")]
    text = rf"\textbf{{{text}}}" if best else text
    if None in bounds or bounds[0] != bounds[0]:
        return text
    low, high = (f"{100 * bound:.{digits}f}".replace("-", "$-$") for bound in bounds)
    return f"{text.replace('-', '$-$')} [{low}, {high}]"


def _escaped(text: str) -> str:
    return "".join(_SPECIAL.get(character) or _GREEK.get(character, character) for character in str(text))
