"""Filters are read as written, and what cannot be read is refused with the place where it goes wrong."""

import contextlib
import datetime
import enum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.registry.search.errors import InvalidFilter
from services.registry.search.fields import NUMBER, NUMBER_OR_TEXT, TEXT, TIME, UID, Field, Fields, Kind, word_type
from services.registry.search.filters import MAX_COMPARISONS, MAX_DEPTH, MAX_LENGTH, parse_filter
from services.registry.search.tree import (
    EVERYTHING,
    And,
    Comparison,
    Condition,
    NoneOf,
    Not,
    OneOf,
    Operator,
    Or,
    Present,
)


class _State(enum.IntEnum):
    RUNNING = 1
    SUCCEEDED = 2


FIELDS = Fields(
    plain={
        "name": TEXT,
        "size": NUMBER,
        "start_time": TIME,
        "state": word_type(_State, FINISHED=2),
        "owners.name": TEXT,
        "uid": UID,
    },
    maps={"metrics": NUMBER, "params": NUMBER_OR_TEXT, "tags": TEXT},
    aliases={"metric": "metrics", "status": "state", "owner": "owners"},
)
ACCURACY = Field("metrics", "accuracy", Kind.NUMBER)
NAME = Field("name", "", Kind.TEXT)
STATE = Field("state", "", Kind.WORD)
UID_FIELD = Field("uid", "", Kind.TEXT)
SOME_UID = "0190d5f0-7a3c-7def-8123-456789abcdef"
TEAM = Field("tags", "team", Kind.TEXT)


def _time(*parts: int) -> datetime.datetime:
    return datetime.datetime(*parts, tzinfo=datetime.UTC)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("", EVERYTHING),
        (" \n", EVERYTHING),
        ("metrics.accuracy > 0.9", Comparison(ACCURACY, Operator.GREATER, 0.9)),
        ("metrics.accuracy<=-1.5e-3", Comparison(ACCURACY, Operator.LESS_OR_EQUAL, -0.0015)),
        ('metric."accuracy" >= .5', Comparison(ACCURACY, Operator.GREATER_OR_EQUAL, 0.5)),
        ("metrics.`a b``c` < 1", Comparison(Field("metrics", "a b`c", Kind.NUMBER), Operator.LESS, 1.0)),
        ("metrics.val/loss-1.x = 1", Comparison(Field("metrics", "val/loss-1.x", Kind.NUMBER), Operator.EQUAL, 1.0)),
        ("tags.mlflow.user = 'ada'", Comparison(Field("tags", "mlflow.user", Kind.TEXT), Operator.EQUAL, "ada")),
        ("params.lr = '0.01'", Comparison(Field("params", "lr", Kind.TEXT), Operator.EQUAL, "0.01")),
        ("params.lr = 0.01", Comparison(Field("params", "lr", Kind.NUMBER), Operator.EQUAL, 0.01)),
        ("attributes.name = 'it''s'", Comparison(NAME, Operator.EQUAL, "it's")),
        ('name != "a ""b"""', Comparison(NAME, Operator.NOT_EQUAL, 'a "b"')),
        ("name like 'v%'", Comparison(NAME, Operator.LIKE, "v%")),
        ("name ILIKE 'V%'", Comparison(NAME, Operator.ILIKE, "V%")),
        ("name NOT LIKE 'v%'", Comparison(NAME, Operator.NOT_LIKE, "v%")),
        ("name not ilike 'V%'", Comparison(NAME, Operator.NOT_ILIKE, "V%")),
        ("owners.name = 'ada'", Comparison(Field("owners.name", "", Kind.TEXT), Operator.EQUAL, "ada")),
        ("owner.`name` = 'ada'", Comparison(Field("owners.name", "", Kind.TEXT), Operator.EQUAL, "ada")),
        ("uid = '0190d5f07a3c7def8123456789abcdef'", Comparison(UID_FIELD, Operator.EQUAL, SOME_UID)),
        ("uid IN ('m-0190d5f07a3c7def8123456789abcdef', 'x')", OneOf(UID_FIELD, (SOME_UID, "x"))),
        (f"uid != '{SOME_UID}'", Comparison(UID_FIELD, Operator.NOT_EQUAL, SOME_UID)),
        ("name = '0190d5f07a3c7def8123456789abcdef'", Comparison(NAME, Operator.EQUAL, SOME_UID.replace("-", ""))),
        ("state = 'SUCCEEDED'", Comparison(STATE, Operator.EQUAL, 2)),
        ("status != 'finished'", Comparison(STATE, Operator.NOT_EQUAL, 2)),
        ("status IN ('RUNNING', 'FINISHED')", OneOf(STATE, (1, 2))),
        ("name NOT IN ('a')", NoneOf(NAME, ("a",))),
        ("tags.team IS NULL", Not(Present(TEAM))),
        ("tags.team is not null", Present(TEAM)),
        (
            "start_time >= 1700000000000",
            Comparison(Field("start_time", "", Kind.TIME), Operator.GREATER_OR_EQUAL, _time(2023, 11, 14, 22, 13, 20)),
        ),
        (
            "start_time < '2026-01-31T12:00:00+01:00'",
            Comparison(Field("start_time", "", Kind.TIME), Operator.LESS, _time(2026, 1, 31, 11)),
        ),
        (
            "start_time = 1700000000000.123",
            Comparison(Field("start_time", "", Kind.TIME), Operator.EQUAL, _time(2023, 11, 14, 22, 13, 20, 123)),
        ),
    ],
)
def test_a_comparison_is_read_as_it_is_written(text: str, condition: Condition) -> None:
    """R-28."""
    assert parse_filter(text, FIELDS) == condition


def test_and_binds_closer_than_or_and_brackets_closer_than_both() -> None:
    a, b, c = (Comparison(NAME, Operator.EQUAL, letter) for letter in "abc")
    assert parse_filter("name = 'a' OR name = 'b' AND name = 'c'", FIELDS) == Or((a, And((b, c))))
    assert parse_filter("(name = 'a' OR name = 'b') AND name = 'c'", FIELDS) == And((Or((a, b)), c))
    assert parse_filter("NOT name = 'a' AND NOT (name = 'b')", FIELDS) == And((Not(a), Not(b)))


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("metrics.accuracy > 'x'", 20, "compared with a number"),
        ("tags.team = 5", 13, "compared with text"),
        ("tags.team > team", 13, "compared with text"),
        ("metrics > 1", 1, "metrics needs a key"),
        ("metrics. > 1", 10, "a key of metrics"),
        ('metrics. "x" > 1', 10, "a key of metrics"),
        ('metrics."" > 1', 9, "a key of metrics"),
        ("nmae = 'x'", 1, "is name meant?"),
        ("owners.nmae = 'x'", 1, "is owners.name meant?"),
        ("name NOT LIKE 'a\\'", 15, "backslash"),
        ("name NOT 'a'", 6, "a comparison"),
        ("colour.red = 'x'", 1, "there are name"),
        ("name = 'x", 8, "never closed"),
        ("name = 'x' name", 12, "AND, OR or the end"),
        ("name = 'x' AND", 15, "a field"),
        ("(name = 'x'", 12, "or AND or OR"),
        ("name ; 'x'", 6, "means nothing"),
        ("name == 'x'", 7, "compared with text"),
        ("name IN ()", 10, "compared with text"),
        ("params.lr IN (1, '1')", 15, "different kinds"),
        ("state > 'RUNNING'", 9, "= and !="),
        ("state = 'GONE'", 9, "RUNNING, SUCCEEDED"),
        ("state LIKE 'R%'", 12, "= and !="),
        ("size LIKE 1", 11, "compares text"),
        ("name LIKE 'a\\'", 11, "backslash"),
        ("size > 1e999", 8, "too large"),
        ("start_time > 1e999999999", 14, "years 1 to 9999"),
        ("start_time > 99999999999999999999999999", 14, "years 1 to 9999"),
        ("start_time > 'tomorrow'", 14, "2026-01-31"),
        ("name = 'a\0'", 10, "NUL"),
        ("(" * (MAX_DEPTH + 1), MAX_DEPTH + 1, "nests more than"),
        ("NOT " * (MAX_DEPTH + 1), 4 * MAX_DEPTH + 1, "nests more than"),
        (" AND ".join(["size > 1"] * (MAX_COMPARISONS + 1)), 13 * MAX_COMPARISONS + 1, "comparisons"),
        ("x" * (MAX_LENGTH + 1), MAX_LENGTH + 1, "may have 8,192 characters"),
        (f"tags.{'k' * 256} = 'x'", 1, "255"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(text: str, position: int, reason: str) -> None:
    with pytest.raises(InvalidFilter) as refused:
        parse_filter(text, FIELDS)
    assert reason in refused.value.message
    assert refused.value.metadata == {"position": str(position)}


_WORDS = ["name", "metrics.a", 'tags."b"', "params.c", "start_time", "state", "AND", "OR", "NOT", "(", ")", "IN", ","]
_MORE = [
    "=",
    "!=",
    "<",
    ">=",
    "LIKE",
    "IS",
    "NULL",
    "'x'",
    "'RUNNING'",
    "1",
    "-2.5",
    "1e400",
    "`",
    "'",
    '"',
    "\\",
    "%",
    "é",
]


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(_WORDS + _MORE), max_size=14).map(" ".join)))
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidFilter):
        parse_filter(text, FIELDS)
