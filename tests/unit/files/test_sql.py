"""Rows of a SQL query, from SQLite; tests/integration/dataset/test_sql_source.py has PostgreSQL."""

import sqlite3
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from adbc_driver_sqlite import dbapi

from headwater.errors import HeadwaterError
from headwater.files import SqlSource, split_by
from headwater.files.sql import DatabaseUnavailable, DriverMissing, InvalidSqlSource

QUERY = "SELECT id, name, score FROM rows ORDER BY id"


@pytest.fixture
def url(tmp_path: Path) -> str:
    path = tmp_path / "my rows?.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE rows (id INTEGER, name TEXT, score REAL)")
        connection.executemany("INSERT INTO rows VALUES (?, ?, ?)", [(i, f"row {i}", i / 3) for i in range(20_000)])
    connection.close()
    return f"sqlite://{str(path).replace('?', '%3f')}"


def test_the_rows_of_a_query_come_in_its_order(url: str) -> None:
    with SqlSource(url, QUERY + " ;\n") as source:
        assert source.schema == pa.schema({"id": pa.int64(), "name": pa.string(), "score": pa.float64()})
        table = pa.Table.from_batches(source.batches("train"), source.schema)
    assert table.column("id").to_pylist() == list(range(20_000))
    assert table.column("score")[7].as_py() == 7 / 3


def test_rows_are_split_as_those_of_files_are(url: str) -> None:
    with SqlSource(url, QUERY, split_by("ratio:a=1/4,b=3/4,seed=3")) as source:
        splits = {split: [i for b in source.batches(split) for i in b.column("id").to_pylist()] for split in "ab"}
    assert (len(splits["a"]), len(splits["b"])) == (5000, 15_000)
    assert sorted(splits["a"] + splits["b"]) == list(range(20_000))
    with SqlSource(url, "SELECT 'val' AS part, 1 AS n", split_by("column:part")) as source:
        assert source.splits == ("validation",)
    with SqlSource(url, QUERY, split_by("directory")) as source, pytest.raises(HeadwaterError, match="no folders"):
        _ = source.splits


def test_the_url_may_come_from_the_environment(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROWS_URL", url)
    with SqlSource("env:ROWS_URL", "SELECT 1 AS one") as source:
        assert next(source.batches("train")).to_pylist() == [{"one": 1}]


def test_an_open_connection_is_used_and_stays_open(url: str) -> None:
    with dbapi.connect() as connection:
        with SqlSource(connection, "SELECT 1 AS one") as source:
            assert next(source.batches("train")).to_pylist() == [{"one": 1}]
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT * FROM nowhere", "no such table: nowhere"),
        ("SELECT", "does not run"),
        ("DELETE FROM rows", "does not run"),
        ("SELECT 1; DELETE FROM rows", "does not run"),
        ("SELECT 1 AS a); DELETE FROM rows; SELECT (1", "does not run"),
        ("CREATE TABLE more (n)", "does not run"),
        ("", "1 to 65536 characters"),
        (" " * 70_000 + "SELECT 1", "1 to 65536 characters"),
        ("SELECT 1 AS a, 2 AS a", "stands twice"),
    ],
)
def test_a_query_that_is_none_is_refused_and_changes_nothing(url: str, query: str, said: str) -> None:
    with pytest.raises(HeadwaterError, match=said):
        SqlSource(url, query)
    with SqlSource(url, "SELECT count(*) AS n FROM rows") as source:
        assert next(source.batches("train")).to_pylist() == [{"n": 20_000}]


def test_values_of_another_type_later_on_are_an_error_and_not_null(url: str) -> None:
    query = "SELECT CASE WHEN id < 10000 THEN id ELSE 'x' END AS n FROM rows ORDER BY id"
    with SqlSource(url, query) as source, pytest.raises(InvalidSqlSource, match="failed while its rows were read"):
        list(source.batches("train"))


def test_an_absolute_path_may_have_the_four_slashes_of_sqlalchemy(url: str) -> None:
    with SqlSource(url.replace("sqlite://", "sqlite:///"), QUERY) as source:
        assert sum(batch.num_rows for batch in source.batches("train")) == 20_000


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://localhost/x", "begins with postgresql:// or sqlite:///"),
        ("rows.sqlite", "begins with"),
        ("sqlite:///nowhere/rows.sqlite", "no such SQLite file"),
        ("sqlite:////nowhere/rows.sqlite", "no such SQLite file"),
        ("sqlite://relative", "no such SQLite file"),
        ("env:SURELY_NOT_SET", "SURELY_NOT_SET is not set"),
        ("postgresql://[::1", "malformed"),
        ("postgresql://localhost:99999/x", "malformed"),
    ],
)
def test_a_database_that_is_none_is_refused(url: str, said: str) -> None:
    with pytest.raises(InvalidSqlSource, match=said):
        SqlSource(url, "SELECT 1")


@pytest.mark.parametrize("tail", ["", "?nonsense", "?sslmode=nonsense", "?options=%zz"])
def test_no_error_tells_the_password(tail: str) -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        SqlSource(f"postgresql://user:s3cr%40t@localhost:1/x{tail}", "SELECT 1")
    for secret in ("s3cr%40t", "s3cr@t"):
        assert secret not in f"{caught.value!r} {caught.value} {caught.value.metadata} {caught.value.__cause__}"


def test_a_driver_that_is_not_installed_is_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "adbc_driver_sqlite.dbapi", None)
    with pytest.raises(DriverMissing, match=r"headwater\[sql\]"):
        SqlSource(url, "SELECT 1")
