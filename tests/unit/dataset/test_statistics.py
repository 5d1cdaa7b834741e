"""A chunk's statistics never say less than its rows: every value lies between the bounds, whatever its type."""

import datetime
import decimal
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dataset.rows.statistics import MAX_COLUMNS, MAX_LENGTH, ColumnRange, collect, parse


def range_of(*arrays: pa.Array) -> ColumnRange:
    """The range of one column of a chunk whose rows came in several batches."""
    return parse(collect([pa.record_batch({"a": array}) for array in arrays]))["a"]


TYPED = [
    (pa.bool_(), [True, None, False], False, True),
    (pa.int8(), [3, None, -4], -4, 3),
    (pa.uint64(), [2**64 - 1, 0], 0, 2**64 - 1),
    (pa.decimal32(5, 2), [decimal.Decimal("1.50"), None, decimal.Decimal("-3.25")], decimal.Decimal("-3.25"), 1.5),
    (pa.decimal256(50, 1), [decimal.Decimal("0.5"), decimal.Decimal("-0.5")], -0.5, 0.5),
    (pa.date32(), [datetime.date(1970, 1, 3), datetime.date(1969, 12, 31)], -1, 2),
    (pa.timestamp("ms", "Europe/Berlin"), [datetime.datetime.fromtimestamp(5, datetime.UTC), None], 5000, 5000),
    (pa.time64("ns"), [datetime.time(0, 0, 1), datetime.time(0)], 0, 10**9),
    (pa.duration("s"), [datetime.timedelta(days=1), datetime.timedelta(0)], 0, 86_400),
    (pa.string(), ["b", None, "ä", ""], "", "ä"),
    (pa.large_binary(), [b"\xff", b"", None], b"", b"\xff"),
    (pa.binary(2), [b"ab", b"\0\0"], b"\0\0", b"ab"),
    (pa.dictionary(pa.int8(), pa.string()), ["x", None, "c", "x"], "c", "x"),
    (pa.float16(), [np.float16(0.5), np.float16(-2)], -2.0, 0.5),
]


@pytest.mark.parametrize(("kind", "values", "minimum", "maximum"), TYPED, ids=[str(case[0]) for case in TYPED])
def test_bounds_and_nulls_are_those_of_all_batches(kind: Any, values: list[Any], minimum: Any, maximum: Any) -> None:
    array = pa.array(values, kind)
    found = range_of(array.slice(0, 1), array.slice(1))
    assert (found.minimum, found.maximum) == (minimum, maximum)
    assert (found.null_count, found.row_count, found.nan_count) == (values.count(None), len(values), 0)


def test_nan_is_counted_and_bounds_nothing() -> None:
    found = range_of(pa.array([math.nan, 2.0, None, -math.inf]))
    assert (found.minimum, found.maximum, found.null_count, found.nan_count) == (-math.inf, 2.0, 1, 1)
    nothing = range_of(pa.array([math.nan, None], pa.float32()))
    assert (nothing.minimum, nothing.maximum, nothing.null_count, nothing.nan_count) == (None, None, 1, 1)


def test_zeros_of_either_sign_are_within_the_bounds_of_the_other() -> None:
    """Some comparisons tell them apart: the bounds hold whatever a reader's does."""
    for zero in (0.0, -0.0):
        found = range_of(pa.array([zero]))
        assert isinstance(found.minimum, float)
        assert isinstance(found.maximum, float)
        assert (math.copysign(1, found.minimum), math.copysign(1, found.maximum)) == (-1, 1)


def test_nulls_alone_have_no_bounds() -> None:
    for kind in (pa.int64(), pa.string(), pa.null(), pa.decimal128(5), pa.binary(), pa.date64()):
        assert range_of(pa.nulls(3, kind)) == ColumnRange(None, None, 3, 3)


@pytest.mark.parametrize(
    ("text", "above"),
    [
        ("a" * MAX_LENGTH, "a" * MAX_LENGTH),
        ("a" * (MAX_LENGTH + 1), "a" * (MAX_LENGTH - 1) + "b"),
        ("a" * (MAX_LENGTH - 1) + "\ud7ff" + "z", "a" * (MAX_LENGTH - 1) + "\ue000"),
        ("a" + chr(0x10FFFF) * MAX_LENGTH, "b"),
        (chr(0x10FFFF) * (MAX_LENGTH + 1), None),
    ],
    ids=["fits", "cut", "before the surrogates", "the greatest characters", "nothing is greater"],
)
def test_a_long_text_is_cut_to_one_that_is_not_less(text: str, above: str | None) -> None:
    found = range_of(pa.array([text]))
    assert (found.minimum, found.maximum) == (text[:MAX_LENGTH], above)


def test_a_long_binary_is_cut_to_one_that_is_not_less() -> None:
    assert range_of(pa.array([b"a" * 63 + b"\xff" * 9])).maximum == b"a" * 62 + b"b"
    assert range_of(pa.array([b"\xff" * 65])).maximum is None


def test_columns_whose_values_have_no_order_have_no_statistics() -> None:
    batch = pa.record_batch(
        {
            "list": pa.array([[1]]),
            "struct": pa.array([{"a": 1}]),
            "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int8())),
            "view": pa.array(["a"], pa.string_view()),
            "tensor": pa.ExtensionArray.from_storage(
                pa.fixed_shape_tensor(pa.int8(), [1]), pa.array([[1]], pa.list_(pa.int8(), 1))
            ),
            "plain": pa.array([1]),
        }
    )
    assert set(parse(collect([batch]))) == {"plain"}


def test_a_dictionary_is_judged_by_the_values_that_rows_use() -> None:
    array = pa.DictionaryArray.from_arrays(pa.array([1, None, 1], pa.int8()), pa.array(["a", "m", "z"]))
    assert range_of(array) == ColumnRange("m", "m", 1, 3)
    with_null = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), pa.array(["a", None]))
    assert "a" not in parse(collect([pa.record_batch({"a": with_null})]))


def test_a_very_wide_table_has_statistics_of_its_first_columns() -> None:
    batch = pa.record_batch({f"c{number}": pa.array([number]) for number in range(MAX_COLUMNS + 5)})
    assert list(parse(collect([batch]))) == [f"c{number}" for number in range(MAX_COLUMNS)]


def test_what_is_not_known_is_no_range() -> None:
    assert parse(b"") == {}
    assert parse(b"[999,{}]") == {}


@given(st.lists(st.text() | st.none(), min_size=1), st.lists(st.binary(max_size=200) | st.none(), min_size=1))
def test_every_text_and_binary_lies_between_its_bounds(texts: list[str | None], binaries: list[bytes | None]) -> None:
    for values, array in ((texts, pa.array(texts, pa.string())), (binaries, pa.array(binaries, pa.binary()))):
        found = range_of(array)
        for value in values:
            if value is not None:
                assert found.minimum is not None
                assert found.minimum <= value  # type: ignore[operator]
                assert found.maximum is None or value <= found.maximum  # type: ignore[operator]


@given(st.lists(st.floats() | st.none(), min_size=1))
def test_every_number_lies_between_its_bounds(values: list[float | None]) -> None:
    found = range_of(pa.array(values, pa.float64()))
    numbers = [value for value in values if value is not None and not math.isnan(value)]
    assert (found.minimum, found.maximum) == ((min(numbers), max(numbers)) if numbers else (None, None))
    assert found.null_count == values.count(None)
    assert found.nan_count == sum(value is not None and math.isnan(value) for value in values)
