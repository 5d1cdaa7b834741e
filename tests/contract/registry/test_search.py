"""A search finds the same rows in the same order in PostgreSQL and in memory, page by page, whatever is asked."""

import dataclasses
import datetime
import enum
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import BigInteger, Column, DateTime, Double, MetaData, SmallInteger, Table, Text, Uuid, insert, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.db.engine import Database
from chassis.ids import new_id
from services.registry.search import memory, pages
from services.registry.search.fields import NUMBER, NUMBER_OR_TEXT, TEXT, TIME, Field, Fields, Kind, word_type
from services.registry.search.filters import parse_filter
from services.registry.search.orders import parse_order
from services.registry.search.postgres.conditions import where
from services.registry.search.postgres.places import InColumn, InJson, InRows, InSome, Place
from services.registry.search.postgres.search import find
from services.registry.search.tree import Value


class _State(enum.IntEnum):
    OPEN = 1
    SHUT = 2


FIELDS = Fields(
    plain={"name": TEXT, "size": NUMBER, "end_time": TIME, "state": word_type(_State), "labels.name": TEXT},
    aliases={"label": "labels"},
    maps={"metrics": NUMBER, "params": NUMBER_OR_TEXT, "tags": TEXT},
)
_METADATA = MetaData()
_ITEMS = Table(
    "items",
    _METADATA,
    Column("id", Uuid(as_uuid=False), primary_key=True),
    Column("name", Text(collation="C"), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("end_time", DateTime(timezone=True)),
    Column("state", SmallInteger, nullable=False),
    Column("tags", JSONB, nullable=False),
    prefixes=["TEMPORARY"],
)
_VALUES = [
    Table(
        name,
        _METADATA,
        Column("item", Uuid(as_uuid=False), primary_key=True),
        Column("key", Text(collation="C"), primary_key=True),
        Column("text", Text(collation="C")),
        Column("number", Double),
        prefixes=["TEMPORARY"],
    )
    for name in ("metrics", "params")
]
_METRICS, _PARAMS = _VALUES
_LABELS = Table(
    "labels",
    _METADATA,
    Column("item", Uuid(as_uuid=False)),
    Column("name", Text(collation="C")),
    prefixes=["TEMPORARY"],
)
PLACES: Mapping[str, Place] = {
    "name": InColumn(_ITEMS.c.name),
    "size": InColumn(_ITEMS.c.size),
    "end_time": InColumn(_ITEMS.c.end_time, optional=True),
    "state": InColumn(_ITEMS.c.state),
    "tags": InJson(_ITEMS.c.tags),
    "metrics": InRows(_METRICS, _ITEMS.c.id, "item", {}, {Kind.NUMBER: "number"}, has_nan=True),
    "params": InRows(_PARAMS, _ITEMS.c.id, "item", {}, {Kind.NUMBER: "number", Kind.TEXT: "text"}),
    "labels.name": InSome(_ITEMS.c.id, _LABELS.c.item, _LABELS.c.name),
}


@dataclasses.dataclass(frozen=True)
class Item:
    """Something to be found. A parameter is a text, and a number too where it can be read as one; a label that is None
    or empty has no name."""

    name: str
    size: int
    end_time: datetime.datetime | None
    state: int
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    params: Mapping[str, str]
    labels: Sequence[str | None]
    id: str = dataclasses.field(default_factory=new_id)


def number_of(text: str) -> float | None:
    """The number that the text of a parameter is."""
    return float(text) if text.isdigit() else None


def lookup(item: Item, field: Field) -> Value | tuple[Value, ...] | None:
    """The value of a field, or its values."""
    if field.name == "labels.name":
        return tuple(label for label in item.labels if label)
    if not field.key:
        value: Value | None = getattr(item, field.name)
        return value
    text = getattr(item, field.name).get(field.key)
    return number_of(text) if field.name == "params" and field.kind is Kind.NUMBER and text is not None else text


_KEYS = st.sampled_from("ab")
_TEXTS = st.sampled_from(
    ["", "1", "2", "10", "x", "X", "x%", "é", "É", "a\\b", "y" * 99, "y" * 100, "y" * 101, "y" * 99 + "z"]
)
_NUMBERS = st.sampled_from([-math.inf, -1.0, -0.0, 0.0, 0.5, 1.0, math.inf, math.nan])
_TIMES = st.sampled_from([datetime.datetime(2026, 1, day, tzinfo=datetime.UTC) for day in (1, 2, 3)])
_ITEMS_MADE = st.lists(
    st.builds(
        Item,
        name=_TEXTS,
        size=st.integers(0, 2),
        end_time=st.none() | _TIMES,
        state=st.sampled_from([1, 2]),
        tags=st.dictionaries(_KEYS, _TEXTS),
        metrics=st.dictionaries(_KEYS, _NUMBERS),
        params=st.dictionaries(_KEYS, _TEXTS),
        labels=st.lists(st.none() | _TEXTS, max_size=3),
    ),
    max_size=12,
)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


_PATTERNS = st.sampled_from(["%", "_", "x%", "X\\%", "%\\\\%", "y" * 99 + "_", "é", "%1%", ""])
_OPERATORS = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
_ON_TEXT = st.sampled_from(["name", "tags.a", "tags.b", "params.a", "params.b", "labels.name", "label.name"])
_ON_NUMBER = st.sampled_from(["size", "metrics.a", "metrics.b", "params.a", "params.b"])
_COMPARISONS = st.one_of(
    st.tuples(_ON_TEXT, _OPERATORS, _TEXTS.map(_quoted)),
    st.tuples(_ON_TEXT, st.sampled_from(["LIKE", "ILIKE", "NOT LIKE", "NOT ILIKE"]), _PATTERNS.map(_quoted)),
    st.tuples(
        _ON_TEXT,
        st.sampled_from(["IN", "NOT IN"]),
        st.lists(_TEXTS.map(_quoted), min_size=1, max_size=3).map(lambda all_: f"({','.join(all_)})"),
    ),
    st.tuples(_ON_NUMBER, _OPERATORS, st.sampled_from(["-1", "0", "0.5", "1", "2", "10"])),
    st.tuples(_ON_NUMBER, st.sampled_from(["IN", "NOT IN"]), st.just("(0, 1, 10)")),
    st.tuples(st.just("end_time"), _OPERATORS, st.sampled_from(["'2026-01-02T00:00:00Z'", "1767225600000"])),
    st.tuples(st.just("state"), st.sampled_from(["=", "!="]), st.just("'OPEN'")),
    st.tuples(_ON_TEXT | _ON_NUMBER | st.just("end_time"), st.sampled_from(["IS NULL", "IS NOT NULL"]), st.just("")),
).map(" ".join)
_FILTERS = st.recursive(
    _COMPARISONS,
    lambda inner: st.one_of(
        inner.map(lambda one: f"NOT ({one})"),
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(lambda parts: "({} {} {})".format(*parts)),
    ),
    max_leaves=5,
)
_ORDERS = st.lists(
    st.sampled_from(
        ["name", "size", "end_time", "state", "tags.a", "metrics.a", "metrics.b", "params.a", "labels.name"]
    ),
    unique=True,
    max_size=4,
).flatmap(lambda keys: st.tuples(*(st.sampled_from([f"{key} asc", f"{key} desc"]) for key in keys)).map(", ".join))


@pytest_asyncio.fixture
async def connection(postgres_url: str) -> AsyncIterator[AsyncConnection]:
    """A connection whose transaction has the tables to search in."""
    database = Database(postgres_url, "registry")
    async with database.transaction() as connection:
        await connection.run_sync(_METADATA.create_all)
        yield connection
    await database.close()


async def _fill(connection: AsyncConnection, items: Sequence[Item]) -> None:
    for table in _METADATA.sorted_tables:
        await connection.execute(table.delete())
    rows: dict[Table, list[dict[str, Any]]] = {_ITEMS: [], _METRICS: [], _PARAMS: [], _LABELS: []}
    for item in items:
        row = dataclasses.asdict(item)
        metrics, params, labels = row.pop("metrics"), row.pop("params"), row.pop("labels")
        rows[_ITEMS].append(row)
        rows[_METRICS] += ({"item": item.id, "key": key, "number": value} for key, value in metrics.items())
        rows[_LABELS] += ({"item": item.id, "name": label} for label in labels)
        rows[_PARAMS] += (
            {"item": item.id, "key": key, "text": text, "number": number_of(text)} for key, text in params.items()
        )
    for table, made in rows.items():
        if made:
            await connection.execute(insert(table), made)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items=_ITEMS_MADE, text=_FILTERS, by=_ORDERS)
async def test_both_find_the_same_page_by_page(
    connection: AsyncConnection, items: list[Item], text: str, by: str
) -> None:
    condition, order = parse_filter(text, FIELDS), parse_order(by, FIELDS)
    found = [item for item in items if memory.matches(condition, item, lookup)]
    expected = [item.id for item in memory.in_order(found, order, lookup, lambda item: item.id)]
    async with connection.begin_nested():
        await _fill(connection, items)
        query = select(_ITEMS).where(where(condition, PLACES))
        ids: list[str] = []
        token = ""
        while True:
            after = pages.decode(token, "query", order, str)
            rows = await find(connection, query, order, PLACES, _ITEMS.c.id, after=after, limit=4)
            page = pages.page_of_found(rows, 3, "query")
            if after is not None:
                rest = memory.after(found, after, order, lookup, lambda item: item.id)
                assert sorted(item.id for item in rest) == sorted(expected[len(ids) :])
            ids += [row.id for row in page.items]
            token = page.next_page_token
            if not token:
                break
    assert ids == expected
