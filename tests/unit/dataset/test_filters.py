"""Conditions: what they mean, what is refused, and that no chunk is left out that holds a row."""

import contextlib
import datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from chassis.filters import Filter, InvalidFilter
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


NUMBERS = pa.table(
    {
        "row": [0, 1, 2, 3],
        "big": [9007199254740993, 2**63 - 1, None, -(2**63)],
        "u": pa.array([0, 2**64 - 1, None, 2**63], pa.uint64()),
        "tiny": pa.array([-128, 127, None, 0], pa.int8()),
        "dec": pa.array([Decimal("1.1"), Decimal("-2.5"), None, Decimal("999999999.9")], pa.decimal128(10, 1)),
        "small": pa.array([Decimal("1.10"), Decimal("-2.50"), None, Decimal("0.00")], pa.decimal32(5, 2)),
        "wide": pa.array([Decimal("1.1"), Decimal(2), None, Decimal(0)], pa.decimal256(76, 20)),
        "half": pa.array([1.0, 2.5, None, -1.0], pa.float16()),
        "single": pa.array([0.5, 16777216.0, None, float("nan")], pa.float32()),
        "at": pa.array([datetime.time(0, 0, 5), datetime.time(12), None, datetime.time(23, 59)], pa.time32("s")),
        "text": ["a--b", "(((", None, "NOT"],
    }
)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("big = 9007199254740993", [0]),
        ("big = 9007199254740992", []),
        ("big > 1.5", [0, 1]),
        ("big >= 9007199254740993.5", [1]),
        ("big < -1.5 OR big = 0.5", [3]),
        ("big <> 0.5", [0, 1, 3]),
        ("NOT big = 0.5", [0, 1, 3]),
        ("1e3 < (big)", [0, 1]),
        ("big < 1e400 AND big > -1e400", [0, 1, 3]),
        ("big IN (9007199254740993, 0.5, 99999999999999999999)", [0]),
        ("big NOT IN (9007199254740993)", [1, 3]),
        ("big * 1 > 0.5", [0, 1]),
        ("big + 0.5 > 1", [0, 1]),
        ("u > 5", [1, 3]),
        ("u > -1", [0, 1, 3]),
        ("u = 18446744073709551615", [1]),
        ("u >= 18446744073709551616", []),
        ("u BETWEEN -5 AND 9223372036854775808", [0, 3]),
        ("tiny < 300 AND tiny > -300", [0, 1, 3]),
        ("tiny = 127.0", [1]),
        ("tiny IN (127, 1000)", [1]),
        ("dec = 1.1", [0]),
        ("dec >= 1.1", [0, 3]),
        ("dec > 1.05", [0, 3]),
        ("dec <= 1.15", [0, 1]),
        ("dec = 3 OR dec < 0", [1]),
        ("dec IN (1.1, 2.2, 1.11)", [0]),
        ("dec = '1.1'", [0]),
        ("dec < 1e20 AND dec > -1e20", [0, 1, 3]),
        ("small = 1.1", [0]),
        ("small IN (1.1, -2.5)", [0, 1]),
        ("wide >= 1.1", [0, 1]),
        ("wide IN (2)", [1]),
        ("half > 1", [1]),
        ("half IN (1, -1)", [0, 3]),
        ("single = 0.5", [0]),
        ("single > 16777215", [1]),
        ("single IN (16777216)", [1]),
        ("at = '00:00:05'", [0]),
        ("at > CAST('11:00' AS TIME)", [1, 3]),
        ("text = 'a--b'", [0]),
        ("text IN ('(((', '" + "(" * 100 + "')", [1]),
        ("text = 'NOT' OR " + " OR ".join(["text = 'NOT NOT'"] * 300), [3]),
    ],
)
def test_numbers_are_compared_as_they_are_written_whatever_the_type_of_the_column(text: str, rows: list[int]) -> None:
    condition = Filter.parse(text, NUMBERS.schema)
    assert condition.select(NUMBERS).column("row").to_pylist() == rows
    for row in range(NUMBERS.num_rows):  # each of them a chunk
        one = NUMBERS.slice(row, 1)
        assert row not in rows or condition.may_match(parse(collect(one.to_batches())))


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
        ("a + 99999999999999999999999 = 1", "64-bit"),
        ("CASE WHEN ok THEN true END", "Case"),
        ("name LIKE a", "stands where a value"),
        ("name || 'x' = 'y'", "cannot be used"),
        ("t > 'yesterday'", "is no timestamp"),
        ("a IN (1, NULL)", "NULL among"),
        ("a IN (1, 'x')", "one type"),
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
