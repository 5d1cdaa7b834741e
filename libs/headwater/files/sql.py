"""The rows of a SQL query as a source, streamed by ADBC: PostgreSQL and SQLite."""

import contextlib
import functools
import importlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from headwater.errors import FailedPrecondition, InvalidArgument, Unavailable
from headwater.files.batches import bounded
from headwater.files.manifest import SourceFile
from headwater.files.reader import select
from headwater.files.splits import Classes, Division, SplitBy, Whole
from headwater.tree import schema_digest

MAX_QUERY_CHARACTERS = 65536
_BATCH_BYTES = 2 << 20
_SQLITE_BATCH_ROWS = 4096
_POSTGRES = ("postgresql", "postgres")


class InvalidSqlSource(InvalidArgument):
    """The database or the query is not said in a way that can be followed."""

    reason = "INVALID_SQL_SOURCE"
    text = "The query cannot be read from."


class DriverMissing(FailedPrecondition):
    """The database's driver is not installed."""

    reason = "SQL_DRIVER_MISSING"
    text = "The database's driver is not installed."


class DatabaseUnavailable(Unavailable):
    """The database does not answer, or does not let us in."""

    reason = "SQL_DATABASE_UNAVAILABLE"
    text = "The database cannot be reached."


class Connection(Protocol):
    """What is used of an ADBC connection (PEP 249 with Arrow)."""

    def cursor(self, *, adbc_stmt_kwargs: Mapping[str, Any] | None = None) -> Any:
        """A new cursor."""
        ...

    def adbc_get_info(self) -> Mapping[str | int, Any]:
        """What it leads to."""
        ...

    def close(self) -> None:
        """Give it up."""
        ...


class SqlSource:
    """The rows of one query, in the order in which the database gives them.

    Every pass over the rows runs the query again, within one transaction that only reads and sees one state of the
    database. Which rows are in which split is the same for ever when the query says an order (``ORDER BY``), or the
    rule looks at values only (hash, group, column). At most a few mebibytes are in memory.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, database: "str | Connection", query: str, split_by: SplitBy | None = None) -> None:
        """Run the query, for its schema.

        Args:
            database: ``postgresql://…``, ``sqlite:///path`` (or ``sqlite:////path``), ``env:NAME`` for an environment
                variable that holds one of these, so that no password is where others see it; or an open ADBC
                connection, which stays open.
            query: one statement that gives rows.

        Raises:
            InvalidSqlSource, DriverMissing, DatabaseUnavailable: without the password, whatever the driver says.
            UnsupportedType, InvalidSchema: the rows cannot be those of a dataset.
        """
        if not query.strip() or len(query) > MAX_QUERY_CHARACTERS or "\0" in query:
            raise InvalidSqlSource(f"A query has 1 to {MAX_QUERY_CHARACTERS} characters, without NUL.")
        self._query = query.rstrip().removesuffix(";")
        self._rule = split_by or Whole()
        self._close = contextlib.ExitStack()
        self._secrets: tuple[str, ...] = ()
        self._options: Mapping[str, Any] = {}
        with contextlib.ExitStack() as stack:
            stack.callback(self.close)
            self._connection = self._connect(database) if isinstance(database, str) else database
            self.schema = self._look_at_schema()
            stack.pop_all()

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits' names; a rule that looks at rows runs the query for it."""
        return self._division.splits

    @property
    def classes(self) -> Classes:
        """By split, how many rows each class has; only of a rule that looks at classes."""
        return self._division.classes

    def batches(self, split: str) -> Iterator[pa.RecordBatch]:
        """The split's rows in batches of 1 to 4 MiB."""
        choice = self._division.choice(split)
        return bounded(select(batch, choice) for batch in self._run())

    def look(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """All rows."""
        return self._run()

    def source_files(self) -> Iterator[SourceFile]:
        """None."""
        return iter(())

    def close(self) -> None:
        """End the transaction and the connection, if it is ours."""
        self._close.close()

    def __enter__(self) -> "SqlSource":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @functools.cached_property
    def _division(self) -> Division:
        return self._rule.divide(self)

    def _connect(self, database: str) -> Connection:
        url = _url(database)
        parts = _parts(url)
        self._secrets = tuple(filter(None, (url, parts.password, unquote(parts.password or ""))))
        driver, target, self._options = _driver(parts.scheme, url)
        with self._told(DatabaseUnavailable, "The database cannot be opened"):
            connection = driver.connect(target)
        self._close.callback(connection.close)
        if parts.scheme in _POSTGRES:
            with self._told(DatabaseUnavailable, "The database cannot be read from"), connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return connection  # type: ignore[no-any-return]

    def _look_at_schema(self) -> pa.Schema:
        with self._cursor() as cursor, self._told(InvalidSqlSource, "The query does not run"):
            # In parentheses a second statement is an error; a driver would leave it out.
            cursor.execute(f"SELECT * FROM (\n{self._query}\n) AS query LIMIT 0")  # noqa: S608  # the user's own query
            if self._connection.adbc_get_info().get("vendor_name") == "SQLite":
                cursor.execute(self._query)  # there a value has a type, and not a column
            rows = cursor.fetch_record_batch()
            schema = rows.schema
            rows.close()
        opaque = next((field for field in schema if _is_opaque(field.type)), None)
        if opaque is not None:
            raise InvalidSqlSource(
                f"Column {opaque.name} has a type of the database's own; cast it in the query.", column=opaque.name
            )
        if not len(schema):
            raise InvalidSqlSource("The query gives no rows: it must be one that selects.")
        schema_digest(schema)
        return schema

    def _run(self) -> Iterator[pa.RecordBatch]:
        with self._cursor() as cursor:
            with self._told(InvalidSqlSource, "The query does not run"):
                cursor.execute(self._query)
                rows = cursor.fetch_record_batch()
            while True:
                with self._told(InvalidSqlSource, "The query failed while its rows were read"):
                    batch = next(rows, None)
                if batch is None:
                    return
                if not batch.schema.equals(self.schema):
                    raise InvalidSqlSource("The query's columns changed while its rows were read.")
                yield batch

    def _cursor(self) -> Any:
        return self._connection.cursor(adbc_stmt_kwargs=dict(self._options))

    @contextlib.contextmanager
    def _told(self, kind: type[InvalidSqlSource] | type[DatabaseUnavailable], what: str) -> Iterator[None]:
        """The driver's error as ours; drivers repeat what they were given, so the password is taken out."""
        try:
            yield
        except Exception as error:
            if not _is_driver_error(error):
                raise
            said = str(error).split("\n")[0][:1000]
            for secret in self._secrets:
                said = said.replace(secret, "…")
            # Not "from error": its text may hold the password.
            raise kind(f"{what}: {said}") from None


def _url(database: str) -> str:
    if not database.startswith("env:"):
        return database
    name = database.removeprefix("env:")
    if not (value := os.environ.get(name, "")):
        raise InvalidSqlSource(f"The environment variable {name} is not set.", variable=name)
    return value


def _parts(url: str) -> Any:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise InvalidSqlSource("The URL of the database is malformed.") from None
    if parts.scheme not in (*_POSTGRES, "sqlite"):
        raise InvalidSqlSource("The URL of a database begins with postgresql:// or sqlite:///.")
    return parts


def _driver(scheme: str, url: str) -> tuple[Any, str, Mapping[str, Any]]:
    """The driver, what it connects to, and the options that bound a batch."""
    try:
        if scheme in _POSTGRES:
            postgresql = importlib.import_module("adbc_driver_postgresql.dbapi")
            return postgresql, url, {"adbc.postgresql.batch_size_hint_bytes": str(_BATCH_BYTES)}
        sqlite = importlib.import_module("adbc_driver_sqlite.dbapi")
    except ImportError as error:
        raise DriverMissing(
            "Reading SQL needs a driver: install headwater[sql].", module=error.name or "adbc_driver_manager"
        ) from error
    path = unquote(url.removeprefix("sqlite://").partition("?")[0])
    if path.startswith("//"):  # as SQLAlchemy writes absolute paths; SQLite would take what follows for a host
        path = f"/{path.lstrip('/')}"
    if not path.startswith("/") or not os.path.isfile(path):
        raise InvalidSqlSource("There is no such SQLite file; say sqlite:///absolute/path.", path=path)
    # Read-only, as a URI, so that nothing is created and the file's own SQL cannot write.
    escaped = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return sqlite, f"file:{escaped}?mode=ro", {"adbc.sqlite.query.batch_rows": str(_SQLITE_BATCH_ROWS)}


def _is_opaque(kind: Any) -> bool:
    return isinstance(kind, pa.BaseExtensionType) and kind.extension_name == "arrow.opaque"


def _is_driver_error(error: Exception) -> bool:
    """Whether it comes from a driver; whoever has an error of a driver has loaded their manager."""
    return type(error).__module__.split(".")[0] == "adbc_driver_manager" or isinstance(
        error, pa.ArrowException | OSError
    )
