"""Values as the first rows of a page show them: in one line, and never more than a line of them."""

import datetime
import decimal

import pyarrow as pa
import pytest

from headwater.dataset.v1 import definitions_pb2
from services.gateway.datasets.console import place_of
from services.gateway.datasets.preview import text_of

DAY = datetime.date(2024, 2, 29)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (pa.scalar(None, pa.int64()), None),
        (pa.scalar(None, pa.list_(pa.int64())), None),
        (pa.scalar(7), "7"),
        (pa.scalar(True), "True"),
        (pa.scalar(""), ""),
        (pa.scalar("größe 😀"), "größe 😀"),
        (pa.scalar(1 / 3), "0.333333"),
        (pa.scalar(float("nan")), "nan"),
        (pa.scalar(float("-inf")), "-inf"),
        (pa.scalar(decimal.Decimal("1.50")), "1.50"),
        (pa.scalar(b"abc"), "3 B"),
        (pa.scalar(b"x" * 2_500_000, pa.large_binary()), "2.5 MB"),
        (pa.scalar(b"1234", pa.binary(4)), "4 B"),
        (pa.scalar(DAY), "2024-02-29"),
        (pa.scalar(1, pa.timestamp("us")), "1970-01-01 00:00:00.000001"),
        (pa.scalar(0, pa.timestamp("s", "Europe/Berlin")), "1970-01-01 00:00:00Z"),
        (pa.scalar(0, pa.timestamp("s", "Nowhere/Atlantis")), "1970-01-01 00:00:00Z"),
        (pa.scalar(90, pa.duration("ms")), "90 ms"),
        (pa.scalar([1, None, 3]), "[1, null, 3]"),
        (pa.scalar([]), "[]"),
        (pa.scalar(list(range(9))), "[0, 1, 2, 3, 4, 5, 6, 7, … 9 in all]"),
        (pa.scalar([1.0, 2.0], pa.list_(pa.float32(), 2)), "[1, 2]"),
        (pa.scalar({"city": "Ulm", "at": {"lat": 48.4}}), "{city: Ulm, at: {lat: 48.4}}"),
        (pa.scalar([("a", 1)], pa.map_(pa.string(), pa.int64())), "[{key: a, value: 1}]"),
        (pa.scalar("a").cast(pa.dictionary(pa.int32(), pa.string())), "a"),
    ],
)
def test_a_value_is_shown_in_a_line(value: pa.Scalar, text: str | None) -> None:
    assert text_of(value) == text


@pytest.mark.parametrize("value", [pa.scalar("x" * 10**6), pa.scalar([["y" * 1000] * 1000])], ids=["text", "lists"])
def test_of_a_long_value_the_beginning_is_shown(value: pa.Scalar) -> None:
    text = text_of(value)
    assert text is not None
    assert len(text) == 80
    assert text.endswith("…")


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("relative_path", "day/1.parquet", "lake: day/1.parquet"),
        ("relative_path", "", "lake: /"),
        ("sql_table", "sales.orders", "lake: table sales.orders"),
        ("sql_query", "SELECT 1", "lake: SELECT 1"),
    ],
)
def test_a_place_is_told_in_a_line(kind: str, value: str, text: str) -> None:
    path = definitions_pb2.DataPath(datastore="projects/p/datastores/lake")
    setattr(path, kind, value)
    assert place_of(path) == text


def test_rows_that_were_pushed_have_no_place() -> None:
    assert place_of(definitions_pb2.DataPath()) == ""
