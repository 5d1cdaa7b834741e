"""N-11: another value, type, name or order is another digest, wherever it stands."""

import random

import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.unit.tree import reference, strategies
from tests.unit.tree.test_same_rows import digest


@given(strategies.tables(min_rows=1), st.data())
@settings(max_examples=120, deadline=None)
def test_a_changed_value_changes_the_digest(table: tuple[pa.Schema, strategies.Rows], data: st.DataObject) -> None:
    schema, rows = table
    index = data.draw(st.integers(0, len(rows) - 1))
    field = data.draw(st.sampled_from(list(schema)))
    changed = rows[index] | {field.name: data.draw(strategies.values(field.type))}
    assume(reference.row(schema, changed) != reference.row(schema, rows[index]))
    others = [*rows[:index], changed, *rows[index + 1 :]]
    assert digest([strategies.plain(schema, others)]) != digest([strategies.plain(schema, rows)])


@given(strategies.tables(min_rows=2), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_another_order_of_rows_changes_the_digest(table: tuple[pa.Schema, strategies.Rows], rng: random.Random) -> None:
    schema, rows = table
    shuffled = rng.sample(rows, len(rows))
    assume([reference.row(schema, one) for one in shuffled] != [reference.row(schema, one) for one in rows])
    assert digest([strategies.plain(schema, shuffled)]) != digest([strategies.plain(schema, rows)])


@given(strategies.tables(min_rows=1), st.data())
@settings(deadline=None)
def test_one_row_more_or_less_changes_the_digest(table: tuple[pa.Schema, strategies.Rows], data: st.DataObject) -> None:
    schema, rows = table
    index = data.draw(st.integers(0, len(rows) - 1))
    more, less = [*rows, rows[index]], rows[:index] + rows[index + 1 :]
    assert len({digest([strategies.plain(schema, some)]) for some in (rows, more, less)}) == 3


def test_every_type_is_another_digest() -> None:
    ones: list[pa.Array] = [
        pa.array([1], kind)
        for kind in (
            pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(),
            pa.float16(), pa.float32(), pa.float64(), pa.date32(), pa.time32("s"), pa.timestamp("s"),
            pa.timestamp("s", "UTC"), pa.timestamp("s", "Europe/Berlin"), pa.duration("s"),
            pa.decimal128(5, 0), pa.decimal128(6, 0), pa.decimal128(6, 1), pa.decimal256(40, 0),
        )
    ]  # fmt: skip
    ones += [pa.array([True]), pa.array(["1"]), pa.array([b"1"]), pa.array([[1]]), pa.array([["1"]])]
    ones += [pa.array([{"a": 1}]), pa.array([{"b": 1}]), pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64()))]
    digests = {digest([pa.record_batch({"x": one})]) for one in ones}
    nulls = {digest([pa.record_batch({"x": pa.nulls(1, one.type)})]) for one in ones}
    assert len(digests | nulls) == 2 * len(ones)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([["ab", "c"]], [["a", "bc"]]),
        ([["a"], []], [[], ["a"]]),
        ([[None]], [[""]]),
        ([[1, None]], [[1, 0]]),
        ([[None, 1]], [[1, None]]),
        ([[]], [None]),
        ([[[1], [2]]], [[[1, 2]]]),
        ([[[1], [2]]], [[[], [1, 2]]]),
        ([{"a": None}], [None]),
    ],
)
def test_values_that_have_the_same_bytes_in_another_arrangement_differ(left: list[object], right: list[object]) -> None:
    kind = max((pa.array(left).type, pa.array(right).type), key=lambda kind: len(str(kind)))
    batches = [pa.record_batch({"x": pa.array(some, kind)}) for some in (left, right)]
    assert digest([batches[0]]) != digest([batches[1]])


def test_columns_cannot_lend_each_other_bytes() -> None:
    one = pa.record_batch({"a": ["xy"], "b": ["z"]})
    other = pa.record_batch({"a": ["x"], "b": ["yz"]})
    assert digest([one]) != digest([other])


def test_the_names_and_order_of_columns_count() -> None:
    one = pa.record_batch({"a": [1], "b": [1]})
    assert len({digest([one]), digest([one.select(["b", "a"])]), digest([one.rename_columns(["a", "c"])])}) == 3
