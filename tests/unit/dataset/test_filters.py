"""Conditions: what they mean, what is refused, and that no chunk is left out that holds a row."""

import contextlib

import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from services.dataset.filters import Filter, InvalidFilter
from services.dataset.rows.statistics import collect, parse

TABLE = pa.table(
    {
        "row": [0, 1, 2, 3],
        "a": [1, 2, None, 4],
        "name": ["x", "xy", None, "z"],
        "t": pa.array([f"2020-01-0{day}" for day in (1, 2, 3, 4)]).cast(pa.timestamp("us")),
        "s": pa.array([{"b": 1}, {"b": 2}, {"b": None}, None]),
        "f": [1.0, float("nan"), None, 2.0],
        "ok": [True, False, None, True],
        "data": pa.array([b"a", b"", None, b"xyz"], pa.binary()),
    }
)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a > 1", [1, 3]),
        ("NOT a > 1", [0]),
        ("a <> 1", [1, 3]),
        ("a != 1", [1, 3]),
        ("1 < a", [1, 3]),
        ("a IN (1, 4)", [0, 3]),
        ("a NOT IN (1, 4)", [1]),
        ("name LIKE 'x%'", [0, 1]),
        ("name NOT LIKE 'x_'", [0, 3]),
        ("name IS NULL", [2]),
        ("name IS NOT NULL", [0, 1, 3]),
        ("a BETWEEN 2 AND 4", [1, 3]),
        ("t >= '2020-01-03'", [2, 3]),
        ("t < TIMESTAMP '2020-01-02 00:00:00'", [0]),
        ("s.b = 2", [1]),
        ("ok", [0, 3]),
        ("NOT ok", [1]),
        ("ok IS TRUE", [0, 3]),
        ("ok IS NOT TRUE", [1, 2]),
        ("lower(name) = 'x' OR abs(a) = 4", [0, 3]),
        ("upper(name) = 'Z'", [3]),
        ("length(name) = 2 OR length(data) = 3", [1, 3]),
        ("a + 1 = 3 AND a * 2 - 1 = 3", [1]),
        ("-a <= -2", [1, 3]),
        ("f = 2.0", [3]),
        ("a = NULL", []),
        ("a = 1 OR a IS NULL AND name IS NULL", [0, 2]),
        ("(a = 1 OR a IS NULL) AND row < 2", [0]),
        ('"row" = 1', [1]),
        ("1 = 1", [0, 1, 2, 3]),
    ],
)
def test_a_condition_means_what_it_means_in_sql(text: str, rows: list[int]) -> None:
    assert Filter.parse(text, TABLE.schema).select(TABLE).column("row").to_pylist() == rows


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cannot be read"),
        ("b = 1", "no column b"),
        ("s.c = 1", "no column s.c"),
        ("a", "must evaluate to bool"),
        ("a = 'x'", "does not fit"),
        ("a >", "cannot be read"),
        ("(SELECT 1)", "Subquery"),
        ("a IN (SELECT 1)", "cannot be used"),
        ("exec('x')", "The function exec"),
        ("pg_sleep(10) = 1", "The function pg_sleep"),
        ("a = 1 -- and more", "comments"),
        ("a = 1 /* and */", "comments"),
        ("a = 1; DROP TABLE x", "cannot be read"),
        ("(" * 10_000 + "a = 1" + ")" * 10_000, "16,384 characters"),
        ("(" * 200 + "a = 1" + ")" * 200, "too deeply"),
        ("NOT " * 2_000 + "ok", "too deeply"),
        ("a = 1 AND " * 3_000 + "a = 1", "16,384 characters"),
        ("a = 99999999999999999999999", "64-bit"),
        ("CASE WHEN ok THEN true END", "Case"),
        ("name LIKE a", "stands where a value"),
        ("name || 'x' = 'y'", "cannot be used"),
        ("t > 'yesterday'", "is no timestamp"),
        ("a IN (1, NULL)", "NULL among"),
        ("a IN (1, 'x')", "one type"),
        ("a IN (1, 2.5)", "needs integers"),
        ("t IN (1.5)", "one type"),
        ("CAST(a AS JSON) = 1", "CAST"),
        ("\x00", "no column"),
        ("a BETWEEN SYMMETRIC 4 AND 2", "cannot be used"),
        ("name LIKE 'x!%' ESCAPE '!'", "cannot be used"),
        ("name ILIKE 'X'", "cannot be used"),
        ("TRY_CAST(name AS INT) = 1", "cannot be used"),
        ("CAST(name AS DATE FORMAT 'YYYY') = '2020-01-01'", "cannot be used"),
        ("length(name, a) = 1", "cannot be used"),
        ("a IN UNNEST(s)", "cannot be used"),
        ("random() < 0.5", "cannot be used"),
        ("current_timestamp > t", "cannot be used"),
    ],
)
def test_what_is_no_condition_is_refused_with_a_reason(text: str, said: str) -> None:
    with pytest.raises(InvalidFilter, match=said.replace("(", r"\(")):
        Filter.parse(text, TABLE.schema)


def test_what_cannot_be_computed_is_refused_when_it_is() -> None:
    with pytest.raises(InvalidFilter, match="divide by zero"):
        Filter.parse("a / 0 = 1", TABLE.schema).select(TABLE)


def test_a_pattern_that_others_never_finish_is_matched_at_once() -> None:
    rows = pa.table({"name": ["a" * 50_000]})
    assert Filter.parse("name LIKE '" + "%a" * 30 + "b'", rows.schema).select(rows).num_rows == 0


def test_a_long_chain_is_no_nesting() -> None:
    text = " OR ".join(f"a = {number}" for number in range(1_000))
    assert Filter.parse(text, TABLE.schema).select(TABLE).num_rows == 3


@given(text=st.text(max_size=60))
@settings(max_examples=300)
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidFilter):
        Filter.parse(text, TABLE.schema).select(TABLE)


integers = st.one_of(st.none(), st.integers(-5, 5))
floats = st.one_of(st.none(), st.sampled_from([float("nan"), -0.0, 0.0, 1.5, float("inf"), -2.0]))
texts = st.one_of(st.none(), st.text("abé", max_size=3))
tables = st.lists(st.tuples(integers, floats, texts), min_size=1, max_size=30).map(
    lambda rows: pa.table(
        {"i": [row[0] for row in rows], "f": [row[1] for row in rows], "s": [row[2] for row in rows]},
        schema=pa.schema([("i", pa.int64()), ("f", pa.float64()), ("s", pa.string())]),
    )
)
numbers = st.one_of(st.integers(-6, 6), st.sampled_from([-0.5, 0.0, 1.5, 2.0]))
operators = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])


def literal(value: object) -> str:
    return "'" + value + "'" if isinstance(value, str) else repr(value)


@st.composite
def conditions(draw: st.DrawFn, depth: int = 2) -> str:
    kind = draw(st.integers(0, 7 if depth else 4))
    column = draw(st.sampled_from(["i", "f", "s"]))
    value = draw(st.text("abé", max_size=2)) if column == "s" else draw(numbers)
    if kind == 0:
        return f"{column} IS {draw(st.sampled_from(['', 'NOT ']))}NULL"
    if kind == 1:
        other = draw(st.text("abé", max_size=2)) if column == "s" else draw(numbers)
        return f"{column} BETWEEN {literal(value)} AND {literal(other)}"
    if kind == 2:
        return f"i IN ({', '.join(str(draw(st.integers(-6, 6))) for _ in range(draw(st.integers(1, 3))))})"
    if kind in (3, 4):
        left, right = draw(st.permutations([column, literal(value)]))
        return f"{left} {draw(operators)} {right}"
    if kind == 5:
        return f"NOT ({draw(conditions(depth=depth - 1))})"
    one, other = draw(conditions(depth=depth - 1)), draw(conditions(depth=depth - 1))
    return f"({one}) {draw(st.sampled_from(['AND', 'OR']))} ({other})"


@given(rows=tables, text=conditions())
@settings(max_examples=400, deadline=None)
def test_no_chunk_that_holds_a_matching_row_is_left_out(rows: pa.Table, text: str) -> None:
    condition = Filter.parse(text, rows.schema)
    found = condition.select(rows).num_rows
    assume(found)
    assert condition.may_match(parse(collect(rows.to_batches())))


def test_chunks_in_which_nothing_can_match_are_left_out() -> None:
    ranges = parse(collect(pa.table({"i": [5, 6, 7], "s": ["b", "c", None]}).to_batches()))
    schema = pa.schema([("i", pa.int64()), ("s", pa.string())])
    for text in ("i > 7", "i < 5", "8 < i", "i = 9", "i IN (1, 2)", "s > 'd'", "i IS NULL", "i > 4 AND s = 'x'"):
        assert not Filter.parse(text, schema).may_match(ranges), text
    for text in ("i > 6", "i = 5", "s IS NULL", "NOT i > 7", "i > 9 OR s = 'b'"):
        assert Filter.parse(text, schema).may_match(ranges), text


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
def test_times_that_the_calendar_of_python_lacks_can_be_asked_for(unit: str) -> None:
    times = pa.array(["0000-03-01 00:00:00", "2020-01-01 00:00:00"]).cast(pa.timestamp(unit))
    table = pa.table({"t": times, "row": [0, 1]})
    for text in ("t = '0000-03-01'", "t IN ('0000-03-01', '0000-04-01')", "t < '0001-01-01'"):
        assert Filter.parse(text, table.schema).select(table).column("row").to_pylist() == [0]
