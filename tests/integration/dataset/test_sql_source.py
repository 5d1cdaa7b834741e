"""Rows of a SQL query, from PostgreSQL."""

import psutil
import pyarrow as pa
import pytest
from adbc_driver_postgresql import dbapi  # type: ignore[import-untyped]

from headwater.files import SqlSource, split_by
from headwater.files.sql import InvalidSqlSource

QUERY = "SELECT n, 'row ' || n AS name, n / 3.0::float8 AS third FROM generate_series(0, 99999) AS n ORDER BY n"


@pytest.fixture
def url(empty_postgres_url: str) -> str:
    """Of a database, as ADBC wants it."""
    return empty_postgres_url.replace("postgresql+asyncpg://", "postgresql://")


def test_rows_stream_in_order_and_are_split(url: str) -> None:
    with SqlSource(url, QUERY, split_by("ratio:a=0.5,b=0.5")) as source:
        assert source.schema == pa.schema({"n": pa.int32(), "name": pa.string(), "third": pa.float64()})
        rows = {split: [n for b in source.batches(split) for n in b.column("n").to_pylist()] for split in source.splits}
    assert [len(rows["a"]), len(rows["b"])] == [50_000, 50_000]
    assert sorted(rows["a"] + rows["b"]) == list(range(100_000))


def test_memory_is_bounded_however_many_rows_there_are(url: str) -> None:
    query = "SELECT n, repeat('x', 1000) AS text FROM generate_series(1, 300000) AS n"
    with SqlSource(url, query) as source:
        batches = source.batches("train")
        next(batches)
        before = psutil.Process().memory_info().rss
        rows = most = 0
        for batch in batches:
            rows += batch.num_rows
            most = max(most, psutil.Process().memory_info().rss)
    assert rows > 290_000
    assert most - before < 64 << 20  # of 300 MB


def test_every_pass_sees_one_state_of_the_database(url: str) -> None:
    with dbapi.connect(url) as other, other.cursor() as cursor:
        cursor.execute("CREATE TABLE rows AS SELECT 1 AS n")
        other.commit()
        with SqlSource(url, "SELECT n FROM rows ORDER BY n", split_by("ratio:a=1")) as source:
            assert source.splits == ("a",)
            cursor.execute("INSERT INTO rows VALUES (2)")
            other.commit()
            assert [batch.to_pylist() for batch in source.batches("a")] == [[{"n": 1}]]


@pytest.mark.parametrize(
    "query",
    ["CREATE TABLE t (n int)", "SELECT 1; DROP TABLE rows", "WITH d AS (DELETE FROM rows RETURNING n) SELECT n FROM d"],
)
def test_a_query_cannot_write(url: str, query: str) -> None:
    with dbapi.connect(url) as other, other.cursor() as cursor:
        cursor.execute("CREATE TABLE rows AS SELECT 1 AS n")
        other.commit()
    with pytest.raises(InvalidSqlSource, match="does not run"):
        SqlSource(url, query)
    with SqlSource(url, "SELECT count(*) AS n FROM rows") as source:
        assert next(source.batches("train")).to_pylist() == [{"n": 1}]


def test_a_type_that_rows_cannot_have_is_named(url: str) -> None:
    with pytest.raises(InvalidSqlSource, match="Column p has a type of the database's own; cast it"):
        SqlSource(url, "SELECT point(1, 2) AS p")


def test_an_error_half_way_names_the_query_and_not_the_password(url: str) -> None:
    query = "SELECT 1 / (5000 - n) AS x FROM generate_series(1, 100000) AS n"
    with SqlSource(url, query) as source, pytest.raises(InvalidSqlSource, match="division by zero"):
        list(source.batches("train"))
