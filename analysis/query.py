"""SQL over the four tables of a store, which DuckDB reads from its Parquet files.

Views: runs, epochs, cells and confusion, with the columns of `analysis.load`. If a scenario's number varies between
instances, it is NULL, and train_varies or test_varies describes it: "rolloff uniform(0.1, 0.5)".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa

from amc_core.errors import AmcError
from amc_core.fields import fields_of
from amc_core.scenario import Scenario
from analysis.cells import once, settings
from analysis.columns import COLUMNS, EVALUATED, TEST, scenario_columns
from analysis.results import Results
from analysis.runs import modulation_set
from sweeps.store.cells import NOT_CELLS, scenario_of
from sweeps.store.record import UNKNOWN, process_of
from sweeps.study import Study

# No statement can reach the file system, the network, or this process. Joins keep the small tables in memory, whatever
# size DuckDB estimates for the cells files.
_SETTINGS = (
    "SET disabled_optimizers = 'join_order,build_side_probe_side'",
    "SET enable_external_access = false",
    "SET python_enable_replacements = false",
    "SET lock_configuration = true",
)
_BATCH_ROWS = 10_000
_WHOLE = {pa.int8(): "Int8", pa.int16(): "Int16", pa.int32(): "Int32", pa.int64(): "Int64", pa.bool_(): "boolean"}
_NULLABLE = {kind: pd.api.types.pandas_dtype(name) for kind, name in _WHOLE.items()}  # Arrow's type → pandas'


def query(
    sql: str, store: str | Path = "results", study: str | Study | None = None, scale: str | None = None
) -> pd.DataFrame:
    """The rows of one SELECT statement; raises AmcError, in one sentence, for anything else.

    store, study and scale select runs and cells as in `analysis.load`. For more rows than fit in memory, see `Answer`.
    """
    return answer(sql, Results(study, store, scale))


def answer(sql: str, results: Results) -> pd.DataFrame:
    """The rows of one SELECT statement over the tables of some results."""
    with _explained():
        _kind(sql)
    rows = _retrying(results, lambda: connect(results).execute(sql).df())
    return rows.astype({name: "str" for name in rows if rows[name].dtype == "category"})


class Answer:
    """The rows of one SELECT statement over the tables of some results, a batch in memory at a time.

    Raises AmcError as `query` does, also while rows are read.
    """

    def __init__(self, sql: str, results: Results):
        with _explained():
            self._selects = _kind(sql) is duckdb.StatementType.SELECT
        self._sql, self._results = sql, results
        _retrying(results, self._open)

    def _open(self) -> None:
        self._connection = connect(self._results)  # has to live as long as the relation
        self._whole = None if self._selects else pa.Table.from_pandas(self._connection.execute(self._sql).df())
        self._relation = self._connection.sql(self._sql) if self._selects else None

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All rows, in batches of about ten thousand; there is at least one batch, which may be empty."""
        reader, first = _retrying(self._results, self._first, self._open)
        yield first if first is not None else pa.RecordBatch.from_pylist([], reader.schema)
        with _explained():
            yield from reader

    def _first(self) -> tuple[pa.RecordBatchReader, pa.RecordBatch | None]:
        whole, relation = self._whole, self._relation
        reader = relation.to_arrow_reader(_BATCH_ROWS) if relation is not None else whole.to_reader()
        return reader, next(iter(reader), None)

    def head(self, rows: int) -> pd.DataFrame:
        """The first rows."""
        tables, count = [], 0
        for batch in self.batches():
            tables.append(batch)
            count += batch.num_rows
            if count >= rows:
                break
        return frame(pa.Table.from_batches(tables).slice(0, rows))

    def count(self) -> int:
        """The number of rows."""
        return _retrying(self._results, self._count, self._open)

    def _count(self) -> int:
        return self._relation.count("*").fetchall()[0][0] if self._relation is not None else self._whole.num_rows


def frame(rows: pa.Table | pa.RecordBatch) -> pd.DataFrame:
    """Rows as a pandas data frame; the type of a column does not depend on missing values."""
    plain = rows.to_pandas(types_mapper=_NULLABLE.get)
    return plain.astype({name: "str" for name in plain if plain[name].dtype == "category"})


def _kind(sql: str) -> duckdb.StatementType:
    kinds = [statement.type for statement in duckdb.extract_statements(sql)]
    if len(kinds) != 1 or kinds[0] not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
        raise AmcError("the query is not allowed: it has to be a single SELECT statement, since results are only read")
    return kinds[0]


def keys_where(condition: str, runs: pd.DataFrame) -> list[str]:
    """The keys of the runs for which a condition in SQL holds.

    runs: the table "runs", which may have more columns. Raises AmcError for an invalid condition.
    """
    if not condition.strip():
        raise AmcError("the condition is empty: give one over the columns of the table runs, such as model = 'resnet'")
    statement = f"SELECT run FROM runs WHERE (\n{condition}\n)"
    with _explained(f"the condition {condition!r}"):
        _kind(statement)
        connection = duckdb.connect()
        connection.register("run_table", _typed(runs, "train"))
        connection.execute("CREATE VIEW runs AS FROM run_table")
        for setting in _SETTINGS:
            connection.execute(setting)
        return [key for (key,) in connection.execute(statement).fetchall()]


class _Unreadable(AmcError):
    """A file turned out to be damaged while it was read."""


def _retrying(results: Results, step: Callable, again: Callable = lambda: None):
    """step(), repeated after again() without cells files that turn out to be damaged, which are reported."""
    try:
        with _explained():
            return step()
    except _Unreadable:
        damaged = results.store.damaged_cells(results.described_runs["run"]) - results.passed_over
        if not damaged:
            raise
        results.passed_over |= damaged
    with _explained():
        again()
        return step()


@contextmanager
def _explained(what: str = "the query"):
    """Turns exceptions of DuckDB and Arrow into an AmcError of one sentence."""
    try:
        yield
    except AmcError:
        raise
    except MemoryError:
        raise AmcError("the rows do not fit in memory: select fewer, or write them with --csv or --parquet") from None
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        sentence = " ".join(str(error).partition("\n\nLINE")[0].split())
        of_files = isinstance(error, pa.ArrowException | OSError) or "reading the stream registered as" in sentence
        raise (_Unreadable if of_files else AmcError)(f"{what} cannot be answered: {sentence}") from None


def connect(results: Results) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection with the views, which cannot reach files, the network or Python's variables."""
    runs, store = results.described_runs, results.store
    connection = duckdb.connect()
    sets = runs["modulations"].map(tuple)
    modulation_sets = list(dict.fromkeys(sets))
    connection.register(
        "run_table", _typed(runs[COLUMNS["runs"]].assign(names_index=sets.map(modulation_sets.index)), "train")
    )
    connection.register("epoch_table", _typed(results.epochs, "train"))
    connection.register("cell_files", store.cell_dataset(runs["run"], results.passed_over))
    tested = connection.execute("SELECT DISTINCT test_scenario, test_length FROM cell_files").fetchall()
    details = connection.execute("SELECT DISTINCT test_modulations, process FROM cell_files").fetchall()
    own_sets = sorted({tuple(names) for names, _ in details if names is not None})
    connection.register("process_table", _process_table({process for _, process in details if process is not None}))
    scenarios = {text: _scenario(text) for text, _ in tested}
    tests = pd.DataFrame([scenario_columns("test", scenario) for scenario in scenarios.values()], columns=TEST)
    connection.register("test_table", _typed(tests.assign(test_scenario=pd.array(list(scenarios), "str")), "test"))
    known = [(*key, name) for key, name in settings(runs, scenarios, {length for _, length in tested}).items()]
    types = {"run": "str", "test_scenario": "str", "test_length": "int64", "known": "str"}
    connection.register("known_settings", pd.DataFrame(known, columns=list(types)).astype(types))
    source, twice = "cell_files", "SELECT DISTINCT run FROM cell_files GROUP BY run, cell, snr_db HAVING count(*) > 1"
    doubled = [key for (key,) in connection.execute(twice).fetchall()]
    if doubled:
        connection.register("doubled_runs", pa.table({"run": pa.array(doubled)}))
        connection.register("cells_once", once(store, doubled))
        source = "(FROM cell_files ANTI JOIN doubled_runs USING (run) UNION ALL FROM cells_once)"
    if results.cell_keys is not None:
        connection.register("wanted_cells", pa.table({"cell": pa.array(sorted(results.cell_keys), pa.string())}))
        source = f"(SELECT * FROM {source} SEMI JOIN wanted_cells USING (cell))"
    joined = (
        f"(SELECT *, coalesce(known, 'unseen') AS setting, {_sent_set(own_sets)} AS test_modulation_set, "
        f"{', '.join(f'coalesce({name}_, {_text(UNKNOWN)}) AS {name}' for name in EVALUATED)} "
        f"FROM {source} JOIN run_table USING (run) "
        "JOIN test_table USING (test_scenario) LEFT JOIN known_settings USING (run, test_scenario, test_length) "
        "LEFT JOIN process_table USING (process))"
    )
    connection.execute("CREATE VIEW runs AS SELECT * EXCLUDE names_index FROM run_table")
    connection.execute("CREATE VIEW epochs AS FROM epoch_table")
    columns = ", ".join([*(name for name in COLUMNS["cells"] if name != "accuracy"), *_VARIES])
    connection.execute(f"CREATE VIEW cells AS SELECT {columns}, correct / n AS accuracy FROM {joined}")
    connection.execute(f"CREATE VIEW confusion AS {_confusion(joined, modulation_sets, own_sets)}")
    for setting in _SETTINGS:
        connection.execute(setting)
    return connection


_VARIES = ("train_varies", "test_varies")


def _scenario(text: str) -> Scenario:
    try:
        return scenario_of(text)
    except NOT_CELLS as error:
        raise _Unreadable(f"a test scenario cannot be read: {error}") from None


def _process_table(texts: Iterable[str]) -> pd.DataFrame:
    rows = [
        {"process": text} | {f"{name}_": process_of(text).in_words(EVALUATED[name]) for name in EVALUATED}
        for text in sorted(texts)
    ]
    return pd.DataFrame(rows, columns=["process", *(f"{name}_" for name in EVALUATED)], dtype="str")


def _sent_set(own_sets: list[tuple[str, ...]]) -> str:
    """The name of the set of modulations of a cell's test: that of the training, unless the cell has its own."""
    cases = " ".join(
        f"WHEN test_modulations = {_literal(names)} THEN {_text(modulation_set(list(names)))}" for names in own_sets
    )
    return f"CASE WHEN test_modulations IS NULL THEN modulation_set {cases} END"


def _confusion(joined: str, modulation_sets: list[tuple[str, ...]], own_sets: list[tuple[str, ...]]) -> str:
    """The counts of a row with their names, in a part for each pair of trained and sent sets of modulations.

    Unnesting lists of literals is far faster than looking up names for every count.
    """
    own = {"sent", "recognised", "count"}
    columns = ", ".join([*(name for name in COLUMNS["confusion"] if name not in own), *_VARIES])
    parts = [
        f"SELECT {columns}, unnest({_literal(name for name in sent or names for _ in names)}) AS sent, "
        f"unnest({_literal(names * len(sent or names))}) AS recognised, unnest(confusion)::BIGINT AS count "
        f"FROM {joined} WHERE names_index = {index} "
        f"AND test_modulations {f'= {_literal(sent)}' if sent else 'IS NULL'}"
        for index, names in enumerate(modulation_sets)
        for sent in (None, *own_sets)
    ]
    nothing = f"SELECT {columns}, '' AS sent, '' AS recognised, 0::BIGINT AS count FROM {joined} WHERE false"
    return " UNION ALL ".join(parts or [nothing])


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _literal(names) -> str:
    return "[" + ", ".join(map(_text, names)) + "]"


def _typed(table: pd.DataFrame, side: str) -> pd.DataFrame:
    """The table with one type per column; numbers that vary become NULL, and a separate column describes them.

    Texts become categories, by which DuckDB groups many times faster, except JSON, since queries extract parts of it.
    """
    usual = {f"{side}_{name}": field for name, field in fields_of(Scenario).items()}
    numbers = [name for name in table if name in usual and not isinstance(usual[name].default, str)]
    varies = [
        ", ".join(
            f"{name.removeprefix(side + '_')} {value}"
            for name, value in zip(numbers, row, strict=True)
            if isinstance(value, str)
        )
        for row in table[numbers].itertuples(index=False)
    ]
    columns = {name: pd.to_numeric(table[name], errors="coerce").astype("float64") for name in numbers}
    columns |= {name: table[name].astype("str") for name in usual if name in table and name not in numbers}
    columns |= {f"{side}_varies": pd.Series(varies, table.index, "str")}
    if len(table):  # without rows there are no categories
        columns |= {name: table[name].astype("str") for name in ("model",) if name in table}
        columns |= {name: column.astype("category") for name, column in columns.items() if column.dtype == "str"}
    return table.assign(**columns)
