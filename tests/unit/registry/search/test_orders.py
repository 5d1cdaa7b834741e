"""Orders are read as written, and pages go on in them."""

import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.ids import new_id
from chassis.paging import InvalidPageToken, encode_token
from services.registry.search import pages
from services.registry.search.errors import InvalidOrder
from services.registry.search.fields import NUMBER, NUMBER_OR_TEXT, TEXT, TIME, Field, Fields, Kind
from services.registry.search.orders import NEWEST_FIRST, ORDERED_CHARACTERS, Order, OrderKey, parse_order
from services.registry.search.pages import Position

FIELDS = Fields(
    {"name": TEXT, "size": NUMBER, "time": TIME, "age": NUMBER}, {"metrics": NUMBER, "params": NUMBER_OR_TEXT}
)
LOSS = Field("metrics", "loss", Kind.NUMBER)
NAME = Field("name", "", Kind.TEXT)


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("", NEWEST_FIRST),
        ("name", Order((OrderKey(NAME, descending=False),), descending=False)),
        ("metrics.loss asc, name DESC", Order((OrderKey(LOSS, False), OrderKey(NAME, True)), descending=True)),
        (
            'params."a b" desc',
            Order(tuple(OrderKey(Field("params", "a b", kind), True) for kind in (Kind.NUMBER, Kind.TEXT)), True),
        ),
    ],
)
def test_an_order_is_read_as_it_is_written(text: str, order: Order) -> None:
    assert parse_order(text, FIELDS) == order


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("nothing", 1, "there is no nothing"),
        ("name up", 6, ", or the end"),
        ("name,", 6, "a field"),
        ("name, name", 7, "comes twice"),
        ("name, size, time, age, metrics.a", 24, "more than 4"),
        ("name = 'x'", 6, ", or the end"),
        ("x" * 1025, 1025, "1,024"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(text: str, position: int, reason: str) -> None:
    with pytest.raises(InvalidOrder) as refused:
        parse_order(text, FIELDS)
    assert reason in refused.value.message
    assert refused.value.metadata == {"position": str(position)}


ORDER = parse_order("metrics.loss, name, time desc", FIELDS)
_VALUES = st.tuples(
    st.none() | st.floats(),
    st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=ORDERED_CHARACTERS),
    st.none() | st.datetimes(timezones=st.just(datetime.UTC)).map(lambda time: time.replace(fold=0)),
)


@settings(max_examples=100, deadline=None)
@given(values=_VALUES, tie=st.one_of(st.integers(0, 2**63 - 1), st.builds(new_id)))
def test_a_token_tells_where_a_row_stood(
    values: tuple[float | None, str | None, datetime.datetime | None], tie: int | str
) -> None:
    position = Position(values, tie)
    found = pages.decode(pages.encode(position, "query"), "query", ORDER, type(tie))
    assert found is not None
    assert repr(found) == repr(position)  # NaN differs from itself


@pytest.mark.parametrize(
    "parts",
    [
        (0, "0x1p0", 0, "a", 0, "5"),
        (0, "0x1p0", 0, "a", 0, "5", "not an id"),
        (0, "nan", 0, "a", 0, "5", 1),
        (0, "1", 1, "a", 0, "5", 1),
        (3, "1", 0, "a", 0, "5", 1),
        ("0", "1", 0, "a", 0, "5", 1),
        (0, 1, 0, "a", 0, "5", 1),
        (0, "0x1p9999", 0, "a", 0, "5", 1),
        (0, "0x1p0", 0, "a", 0, str(10**30), 1),
        (0, "0x1p0", 0, "a" * (ORDERED_CHARACTERS + 1), 0, "5", 1),
    ],
)
def test_a_forged_token_is_refused(parts: tuple[str | int, ...]) -> None:
    with pytest.raises(InvalidPageToken):
        pages.decode(encode_token(parts, "query"), "query", ORDER, type(parts[-1]))


def test_the_longest_position_fits_into_a_token() -> None:
    longest = "\U0001f600" * ORDERED_CHARACTERS
    fields = Fields(dict.fromkeys("abcd", TEXT))
    order = parse_order("a, b, c, d", fields)
    position = Position((longest, "\x01" * ORDERED_CHARACTERS, longest, longest), new_id())
    assert pages.decode(pages.encode(position, "q"), "q", order, str) == position
