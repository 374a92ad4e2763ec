"""Arrays of .csv files: one sample a line, in columns such as I and Q, or one instance, in I_0, I_1, …, Q_0, …"""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np

from amc_core.errors import AmcError
from amc_core.quantities import many, number
from amc_core.recordings.arrays import Arrays, InMemory

_HEAD = 1 << 16  # characters of the first line, which tells the separator


def csv_arrays(path: Path, wanted: list[str]) -> Arrays:
    """The columns of a text file by the names in its first line, or by "0", "1", … if that line has numbers.

    Numbered columns form one field: I_0, I_1, … are I. A column that is not `wanted` is read for its length only.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            head = file.readline(_HEAD)
            separator = max(";\t,", key=head.count)
            names = [name.strip() for name in next(csv.reader([head], delimiter=separator), [])]
            if all(number(name) is not None for name in names):
                names = [str(index) for index in range(len(names))]
                file.seek(0)
            fields = _fields(path, names)
            columns = {name: list(fields.get(name, ())) for name in wanted}
            read: dict[int, list[str]] = {index: [] for indices in columns.values() for index in indices}
            lines = 0
            for line in csv.reader(file, delimiter=separator):
                if not line:
                    continue
                if len(line) != len(names):
                    what = f"row {lines} has {many(len(line), 'value')}"
                    raise AmcError(f"{path}: {what}; allowed are {len(names)}, as many as columns")
                for index, values in read.items():
                    values.append(line[index])
                lines += 1
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise AmcError(f"{path} cannot be read ({error}); allowed is a text file of columns in UTF-8") from None
    shapes = {name: (lines,) if len(indices) == 1 else (lines, len(indices)) for name, indices in fields.items()}
    arrays = {name: InMemory(np.broadcast_to(np.zeros((), np.uint8), shape)) for name, shape in shapes.items()}
    for name, indices in columns.items():
        if indices:
            values = [_values(read[index]) for index in indices]
            arrays[name] = InMemory(values[0] if len(values) == 1 else np.stack(values, axis=1))
    return arrays


def _fields(path: Path, names: list[str]) -> dict[str, tuple[int, ...]]:
    """Name of a field → the indices of its columns."""
    if not names or len(set(names)) < len(names) or "" in names:
        raise AmcError(f"{path}: the columns are {', '.join(names)!r:.200}; allowed are names, each once")
    numbered: dict[str, dict[int, int]] = {}
    fields = {name: (index,) for index, name in enumerate(names)}
    for index, name in enumerate(names):
        match = re.fullmatch(r"(.*?\D)[_ .-]?(\d+)", name)
        if match:
            numbered.setdefault(match[1].rstrip("_ .-"), {})[int(match[2])] = index
    for name, indices in numbered.items():
        order = sorted(indices)
        if len(order) > 1 and order == list(range(order[0], order[0] + len(order))) and name not in fields:
            fields[name] = tuple(indices[number] for number in order)
    return fields


def _values(values: list[str]) -> np.ndarray:
    """Numbers if all values are, else strings; 1_0 is a string, unlike in Python."""
    try:
        if any("_" in value for value in values):
            raise ValueError
        return np.array(values, dtype=np.float64)
    except ValueError:
        return np.array([value.strip() for value in values], dtype=np.str_)
