"""What a profile says of columns of each type, beside what numpy says of the same values."""

import collections
import datetime
import decimal
import io
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies
from PIL import Image

from headwater import tree
from services.dataset.profiles.columns.tables import TableSummary, column_count
from services.dataset.profiles.content import pack, unpack
from services.dataset.profiles.limits import limits_for
from services.dataset.profiles.model import Bin, ColumnProfile, SplitProfile, ValueCount
from services.dataset.profiles.numbers import RANKS

UTC = datetime.UTC


def profiles_of(values: pa.Array | pa.ChunkedArray, pieces: int = 1) -> dict[str, ColumnProfile]:
    """The profiles of a column ``x`` and those below it, by name."""
    table = pa.table({"x": values})
    summary = TableSummary(table.schema, limits_for(column_count(table.schema)))
    rows = max(1, -(-len(table) // pieces))
    for first in range(0, max(1, len(table)), rows):
        summary.add(table.slice(first, rows))
    found = summary.profiles()
    assert len(found) == column_count(table.schema)
    split = SplitProfile("train", len(table), 0, found)
    assert repr(unpack(pack([split]))) == repr((split,))  # it is kept as it is, NaN and infinity too
    return {profile.column: profile for profile in found}


def profile_of(values: pa.Array, pieces: int = 1) -> ColumnProfile:
    return profiles_of(values, pieces)["x"]


def counts(values: Any) -> dict[str, int]:
    return {each.value: each.count for each in values}


FLOATS = numpy_strategies.arrays(
    st.sampled_from([np.float64, np.float32, np.float16]),
    st.integers(0, 300),
    elements=st.floats(width=16) | st.sampled_from([0.0, -0.0, math.inf, -math.inf, math.nan, 1.0]),
)


@given(FLOATS, st.integers(1, 4), st.data())
def test_floats_are_told_of_as_numpy_does(values: Any, pieces: int, data: st.DataObject) -> None:
    nulls = data.draw(numpy_strategies.arrays(np.bool_, len(values)))
    found = profile_of(pa.array(values, mask=nulls), pieces)
    present = values[~nulls].astype(np.float64)
    numbers = present[~np.isnan(present)]
    assert (found.count, found.null_count) == (len(present), int(nulls.sum()))
    assert found.nan_count == len(present) - len(numbers)
    assert found.distinct_estimate == len(np.unique(numbers))
    assert found.top_values_are_all == (found.distinct_estimate <= 256)
    if not len(numbers):
        assert found.numbers is None
        return
    assert found.numbers is not None
    assert (found.numbers.minimum, found.numbers.maximum) == (numbers.min(), numbers.max())
    assert found.numbers.infinite_count == np.isinf(numbers).sum()
    expected = np.quantile(numbers, RANKS, method="inverted_cdf")
    assert [value for _, value in found.numbers.quantiles] == expected.tolist()
    finite = numbers[np.isfinite(numbers)]
    if len(finite):
        assert found.numbers.mean == pytest.approx(finite.mean(), rel=1e-9, abs=1e-9)
        assert found.numbers.standard_deviation == pytest.approx(finite.std(), rel=1e-6, abs=1e-6)
        _check_histogram(found.numbers.histogram, finite)
    else:
        assert math.isnan(found.numbers.mean)
        assert found.numbers.histogram == ()


def _check_histogram(bins: tuple[Bin, ...], numbers: Any) -> None:
    assert (bins[0].lower, bins[-1].upper) == (numbers.min(), numbers.max())
    assert sum(each.count for each in bins) == len(numbers)
    assert [one.upper for one in bins[:-1]] == [other.lower for other in bins[1:]]
    edges = np.array([bins[0].lower, *(each.upper for each in bins)])
    if len(bins) > 1 and (np.diff(edges) > 0).all():
        assert [each.count for each in bins] == np.histogram(numbers, edges)[0].tolist()


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3) | st.none(), max_size=300),
    st.sampled_from([pa.int64(), pa.uint64(), pa.int8(), pa.uint32()]),
)
def test_integers_are_told_of_exactly(values: list[int | None], kind: pa.DataType) -> None:
    bits, signed = kind.bit_width, pa.types.is_signed_integer(kind)
    fitting = [None if v is None else (v % 2**bits) - (2 ** (bits - 1) if signed else 0) for v in values]
    found = profile_of(pa.array(fitting, kind), pieces=2)
    present = [value for value in fitting if value is not None]
    true = collections.Counter(present)
    assert found.distinct_estimate == len(true)
    if found.top_values_are_all:
        assert counts(found.top_values) == {str(value): count for value, count in true.items()}
    if present:
        assert found.numbers is not None
        assert (found.numbers.minimum, found.numbers.maximum) == (float(min(present)), float(max(present)))
        assert sum(each.count for each in found.numbers.histogram) == len(present)


def test_a_bin_of_whole_numbers_holds_whole_numbers() -> None:
    """A histogram of labels 0 to 9 has ten bars, and no gaps between them."""
    numbers = profile_of(pa.array([label for label in range(10) for _ in range(label + 1)])).numbers
    assert numbers is not None
    assert [each.count for each in numbers.histogram] == list(range(1, 11))
    assert [each.lower for each in numbers.histogram] == list(range(10))


def test_an_even_distribution_of_whole_numbers_looks_even() -> None:
    numbers = profile_of(pa.array([value for value in range(20, 60) for _ in range(7)])).numbers
    assert numbers is not None
    assert {each.count for each in numbers.histogram} == {14}
    assert {each.upper - each.lower for each in numbers.histogram} == {2}


def test_no_more_values_are_distinct_than_there_are() -> None:
    values = pa.array(np.random.default_rng(1).normal(size=4_800).astype(np.float32))
    assert profile_of(values).distinct_estimate <= 4_800


@given(st.lists(st.text(max_size=5) | st.text(min_size=257, max_size=300) | st.none(), max_size=60))
def test_texts_are_counted_and_measured_in_characters(values: list[str | None]) -> None:
    found = profile_of(pa.array(values, pa.string()), pieces=3)
    present = [value for value in values if value is not None]
    true = collections.Counter(present)
    assert (found.count, found.null_count) == (len(present), len(values) - len(present))
    assert found.distinct_estimate == pytest.approx(len(true), rel=0.02, abs=1)
    assert found.top_values_are_all == all(len(value.encode()) <= 256 for value in present)
    assert counts(found.top_values) == {
        value: count for value, count in true.items() if len(value.encode()) <= 256
    } or not (found.top_values_are_all)
    assert [each.count for each in found.top_values] == sorted((each.count for each in found.top_values), reverse=True)
    if present:
        assert found.lengths is not None
        lengths = [len(value) for value in present]
        assert (found.lengths.minimum, found.lengths.maximum) == (min(lengths), max(lengths))
        assert found.lengths.mean == pytest.approx(np.mean(lengths))
    assert found.numbers is None


def test_the_class_balance_of_a_label_is_exact_and_complete() -> None:
    labels = ["cat"] * 500 + ["dog"] * 300 + ["eel"] * 2
    found = profile_of(pa.array(labels), pieces=7)
    assert found.top_values == (ValueCount("cat", 500), ValueCount("dog", 300), ValueCount("eel", 2))
    assert found.top_values_are_all
    assert found.distinct_estimate == 3


def test_of_many_values_the_frequent_ones_are_listed_and_the_rest_is_estimated() -> None:
    numbers = np.random.default_rng(0)
    values = np.where(numbers.random(200_000) < 0.1, -999, numbers.integers(0, 10**9, 200_000))
    found = profile_of(pa.array(values), pieces=9)
    assert not found.top_values_are_all
    first = found.top_values[0]
    true = int((values == -999).sum())
    assert first.value == "-999"
    assert true * 0.98 <= first.count <= true
    assert found.distinct_estimate == pytest.approx(len(np.unique(values)), rel=0.02)
    assert len(found.top_values) <= 20


def test_quantiles_and_histogram_of_a_million_are_within_one_percent() -> None:
    values = np.random.default_rng(0).gamma(2.0, size=1_000_000)
    numbers = profile_of(pa.array(values), pieces=20).numbers
    assert numbers is not None
    ordered = np.sort(values)
    for rank, value in numbers.quantiles:
        assert np.searchsorted(ordered, value) / len(values) == pytest.approx(rank, abs=0.01)
    edges = [each.lower for each in numbers.histogram] + [numbers.maximum]
    true = np.histogram(values, edges)[0]
    assert np.abs(np.array([each.count for each in numbers.histogram]) - true).max() <= 0.01 * len(values)
    assert numbers.mean == pytest.approx(values.mean(), rel=1e-12)
    assert numbers.standard_deviation == pytest.approx(values.std(), rel=1e-9)


def test_large_means_lose_no_digits() -> None:
    values = 1e9 + np.arange(1000) % 10
    numbers = profile_of(pa.array(values), pieces=13).numbers
    assert numbers is not None
    assert numbers.standard_deviation == pytest.approx((np.arange(1000) % 10).std(), rel=1e-6)


@pytest.mark.parametrize(
    ("kind", "values", "texts", "first", "last"),
    [
        (
            pa.date32(),
            [datetime.date(1970, 1, 3), datetime.date(1969, 12, 31)],
            ["1969-12-31", "1970-01-03"],
            -86400,
            172800,
        ),
        (pa.date64(), [datetime.date(1970, 1, 3)], ["1970-01-03"], 172800, 172800),
        (pa.time32("s"), [datetime.time(1, 2, 3)], ["01:02:03"], 3723, 3723),
        (pa.time64("us"), [datetime.time(0, 0, 1, 500_000)], ["00:00:01.500000"], 1.5, 1.5),
        (
            pa.timestamp("ms"),
            [datetime.datetime(1970, 1, 1, 0, 0, 1, 500_000)],  # noqa: DTZ001
            ["1970-01-01 00:00:01.500"],
            1.5,
            1.5,
        ),
        (
            pa.timestamp("s", tz="Europe/Berlin"),
            [datetime.datetime(2020, 1, 1, tzinfo=UTC)],
            ["2020-01-01 00:00:00Z"],
            1577836800,
            1577836800,
        ),
        (pa.duration("ms"), [datetime.timedelta(seconds=1.5)], ["1500 ms"], 1.5, 1.5),
        (pa.bool_(), [True, False, True], ["true", "false"], None, None),
        (pa.decimal128(10, 2), [decimal.Decimal("1.50"), decimal.Decimal("-3.25")], ["-3.25", "1.50"], -3.25, 1.5),
        (pa.decimal256(50, 2), [decimal.Decimal("1.50")], ["1.50"], 1.5, 1.5),
        (pa.float32(), [0.1], ["0.1"], pytest.approx(0.1, rel=1e-6), pytest.approx(0.1, rel=1e-6)),
        (pa.binary(), [b"\x00\xff", b"a"], ["0x00ff", "0x61"], None, None),
        (pa.binary(2), [b"\x00\xff", b"ab"], ["0x00ff", "0x6162"], None, None),
        (pa.dictionary(pa.int8(), pa.string()), ["b", "a", "a"], ["a", "b"], None, None),
        (pa.string_view(), ["b", "a", "a"], ["a", "b"], None, None),
        (pa.large_string(), ["b", "a", "a"], ["a", "b"], None, None),
    ],
    ids=str,
)
def test_a_column_of_each_type(kind: Any, values: list[Any], texts: list[str], first: Any, last: Any) -> None:
    found = profile_of(pa.array([*values, None], kind))
    assert (found.count, found.null_count, found.distinct_estimate) == (len(values), 1, len(set(values)))
    assert [each.value for each in found.top_values] == texts
    assert found.top_values_are_all
    if first is None:
        assert found.numbers is None
    else:
        assert found.numbers is not None
        assert (found.numbers.minimum, found.numbers.maximum) == (first, last)


def test_a_time_zone_that_nobody_knows_is_no_obstacle() -> None:
    stamps = pa.array([0], pa.int64()).cast(pa.timestamp("ns")).cast(pa.timestamp("ns", tz="Atlantis/Capital"))
    assert profile_of(stamps).top_values == (ValueCount("1970-01-01 00:00:00.000000000Z", 1),)


def test_fields_of_structs_and_elements_of_lists_and_maps_are_columns_of_their_own() -> None:
    rows = [
        {"a": 1, "b": [1.0, None], "m": [("k", 1)]},
        {"a": None, "b": [], "m": None},
        None,
        {"a": 3, "b": None, "m": [("k", 2), ("l", None)]},
    ]
    kind = pa.struct(
        [("a", pa.int64()), ("b", pa.list_(pa.float64())), ("m", pa.map_(pa.string(), pa.int8()))],
    )
    found = profiles_of(pa.array(rows, kind), pieces=2)
    assert list(found) == ["x", "x.a", "x.b", "x.b[]", "x.m", "x.m[]", "x.m[].key", "x.m[].value"]
    presence = {name: (profile.count, profile.null_count) for name, profile in found.items()}
    assert presence == {
        "x": (3, 1),
        "x.a": (2, 2),  # null where the struct is
        "x.b": (2, 2),
        "x.b[]": (1, 1),
        "x.m": (2, 2),
        "x.m[]": (3, 0),
        "x.m[].key": (3, 0),
        "x.m[].value": (2, 1),
    }
    lengths = found["x.b"].lengths
    assert lengths is not None
    assert (lengths.minimum, lengths.maximum) == (0, 2)
    assert counts(found["x.m[].key"].top_values) == {"k": 2, "l": 1}
    assert found["x"].type.startswith("struct<a: int64")


def test_a_tensor_is_a_list_whose_elements_are_distributed() -> None:
    values = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(64 * 10, dtype=np.float32)), 64)
    found = profiles_of(values, pieces=3)
    lengths, elements = found["x"].lengths, found["x[]"].numbers
    assert lengths is not None
    assert elements is not None
    assert (lengths.minimum, lengths.maximum) == (64, 64)
    assert (elements.minimum, elements.maximum, found["x[]"].count) == (0, 639, 640)


def test_an_extension_type_is_told_of_by_what_it_is_stored_as() -> None:
    tensors = pa.ExtensionArray.from_storage(
        pa.fixed_shape_tensor(pa.int32(), [2]), pa.FixedSizeListArray.from_arrays(pa.array([1, 2, 3, 4], pa.int32()), 2)
    )
    assert profiles_of(tensors)["x[]"].count == 4


@pytest.mark.parametrize(
    "kind", [pa.null(), pa.int64(), pa.float64(), pa.string(), pa.binary(), pa.list_(pa.int8())], ids=str
)
@pytest.mark.parametrize("length", [0, 5])
def test_nothing_and_nothing_but_nulls_have_a_profile(kind: pa.DataType, length: int) -> None:
    for profile in profiles_of(pa.nulls(length, kind), pieces=2).values():
        assert (profile.count, profile.null_count) == (0, 0 if profile.column == "x[]" else length)
        assert (profile.numbers, profile.lengths, profile.images, profile.top_values) == (None, None, None, ())


def picture(form: str, mode: str, size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, form)
    return buffer.getvalue()


def test_images_are_recognised_by_their_bytes_and_measured() -> None:
    small, large = picture("PNG", "L", (8, 9)), picture("JPEG", "RGB", (640, 480))
    values = [small] * 6 + [large] * 3 + [large[:-30], b"no image at all", None]
    found = profile_of(pa.array(values), pieces=4)
    assert found.images is not None
    assert (found.images.count, found.images.unreadable_count) == (9, 2)
    assert counts(found.images.formats) == {"PNG": 6, "JPEG": 3}
    assert counts(found.images.colour_spaces) == {"L": 6, "RGB": 3}
    assert found.images.widths is not None
    assert found.images.heights is not None
    assert (found.images.widths.minimum, found.images.widths.maximum) == (8, 640)
    assert (found.images.heights.minimum, found.images.heights.maximum) == (9, 480)


def test_binaries_and_texts_that_are_no_images_have_no_image_profile() -> None:
    assert profile_of(pa.array([b"hello world, this is text", b"\x00" * 40])).images is None
    assert profile_of(pa.array(["\x89PNG is a format"])).images is None


def test_a_profile_is_a_function_of_the_rows() -> None:
    numbers = np.random.default_rng(3)
    table = pa.table(
        {"a": numbers.normal(size=50_000), "b": pa.array(numbers.integers(0, 10**6, 50_000)).cast(pa.string())}
    )

    def profile(copies: pa.Table) -> str:
        summary = TableSummary(copies.schema, limits_for(2))
        for first in range(0, len(copies), 7_000):
            summary.add(copies.slice(first, 7_000))
        return repr(summary.profiles())

    chunked = pa.concat_tables([table.slice(first, 1_234) for first in range(0, len(table), 1_234)])
    assert profile(table) == profile(table.combine_chunks()) == profile(chunked)


def test_every_type_that_rows_can_have_has_a_profile() -> None:
    plain: list[Any] = [pa.null(), pa.bool_(), pa.float16(), pa.float32(), pa.float64(), pa.string(), pa.binary()]
    plain += [getattr(pa, f"{sign}int{bits}")() for sign in ("", "u") for bits in (8, 16, 32, 64)]
    plain += [pa.decimal32(5, 1), pa.decimal64(12, 2), pa.decimal128(20, 2), pa.decimal256(60, 3), pa.binary(7)]
    times: list[Any] = [pa.date32(), pa.date64(), pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")]
    times += [pa.timestamp("s"), pa.timestamp("ns", "UTC"), pa.duration("us")]
    nested: list[Any] = [pa.list_(pa.string()), pa.list_(pa.int8(), 3), pa.large_list(pa.int8())]
    nested += [pa.struct([("a", pa.int8())]), pa.map_(pa.string(), pa.list_(pa.struct([("b", pa.binary())])))]
    kinds = plain + times + nested
    schema = pa.schema([(f"c{number}", kind) for number, kind in enumerate(kinds)])
    tree.schema_digest(schema)  # they are such types
    summary = TableSummary(schema, limits_for(column_count(schema)))
    columns = [pa.nulls(3, kind) if pa.types.is_null(kind) else _ones(kind) for kind in kinds]
    summary.add(pa.table(columns, schema=schema))
    by_name = {profile.column: profile for profile in summary.profiles()}
    for number, kind in enumerate(kinds):
        expected = (0, 3) if pa.types.is_null(kind) else (2, 1)
        assert (by_name[f"c{number}"].count, by_name[f"c{number}"].null_count) == expected, kind


def _ones(kind: Any) -> pa.Array:
    return pa.array([_one(kind), None, _one(kind)], kind)


def _one(kind: Any) -> Any:
    """A value of a type."""
    is_ = pa.types
    if is_.is_struct(kind):
        return {field.name: _one(field.type) for field in kind}
    if is_.is_map(kind):
        return [(_one(kind.key_type), _one(kind.item_type))]
    if is_.is_list(kind) or is_.is_large_list(kind) or is_.is_fixed_size_list(kind):
        return [_one(kind.value_type)] * (kind.list_size if is_.is_fixed_size_list(kind) else 1)
    if is_.is_timestamp(kind):
        return datetime.datetime(2020, 1, 1, tzinfo=UTC if kind.tz else None)
    simple = {
        is_.is_boolean: True,
        is_.is_decimal: decimal.Decimal(1),
        is_.is_fixed_size_binary: b"seven b",
        is_.is_binary: b"x",
        is_.is_string: "x",
        is_.is_date: datetime.date(2020, 1, 1),
        is_.is_time: datetime.time(1),
        is_.is_duration: datetime.timedelta(1),
    }
    return next((value for matches, value in simple.items() if matches(kind)), 1)


def test_a_profile_of_ten_thousand_columns_stays_small_enough_to_be_sent() -> None:
    count = 10_000
    numbers = np.random.default_rng(0)
    table = pa.table({f"column {each}": numbers.normal(size=300) for each in range(count)})
    summary = TableSummary(table.schema, limits_for(count))
    summary.add(table)
    assert len(pack([SplitProfile("train", 300, 0, summary.profiles())])) < 8 << 20
