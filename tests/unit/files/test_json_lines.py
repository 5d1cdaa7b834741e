"""JSON lines."""

import datetime
import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import HeadwaterError
from headwater.files import Source, json_lines
from headwater.files.errors import SourceMalformed
from tests.unit.files.conftest import write
from tests.unit.files.test_images import digest_of, rows_of

GOOD = b'{"id": 1, "tags": ["a", null], "box": {"x": 1, "y": 2.5}, "at": "2024-05-06"}\n{"id": 2, "at": null}\n'


def source(tmp_path: Path, content: bytes, types: pa.Schema | None = None) -> Source:
    return Source(write(tmp_path, {"rows.jsonl": content}) / "rows.jsonl", types=types)


def test_nested_values_get_the_types_that_the_lines_have_and_texts_stay_texts(tmp_path: Path) -> None:
    rows = source(tmp_path, GOOD + b"\n  \n")
    assert rows.schema.field("box").type == pa.struct({"x": pa.int64(), "y": pa.float64()})
    assert rows.schema.field("at").type == pa.string()
    assert rows_of(rows) == [
        {"id": 1, "tags": ["a", None], "box": {"x": 1, "y": 2.5}, "at": "2024-05-06"},
        {"id": 2, "tags": None, "box": None, "at": None},
    ]


def test_types_that_are_given_are_what_values_become(tmp_path: Path) -> None:
    types = pa.schema(
        {
            "at": pa.date32(),
            "half": pa.float16(),
            "pair": pa.list_(pa.int8(), 2),
            "then": pa.timestamp("us", "UTC"),
            "price": pa.decimal128(6, 2),
        }
    )
    line = b'{"at": "2024-05-06", "half": 1.5, "pair": [1, 2], "then": "2024-05-06T07:08:09Z", "price": "12.50"}'
    (row,) = rows_of(source(tmp_path, line, types))
    assert row["at"] == datetime.date(2024, 5, 6)
    assert (row["half"], row["pair"]) == (1.5, [1, 2])
    assert row["then"] == datetime.datetime(2024, 5, 6, 7, 8, 9, tzinfo=datetime.UTC)
    assert str(row["price"]) == "12.50"


def test_types_of_some_columns_may_be_given(tmp_path: Path) -> None:
    rows = source(tmp_path, b'{"a": 1, "b": 2}\n', pa.schema({"b": pa.int8()}))
    assert rows.schema == pa.schema({"a": pa.int64(), "b": pa.int8()})
    with pytest.raises(SourceMalformed, match="no column c"):
        source(tmp_path, b'{"a": 1, "b": 2}\n', pa.schema({"c": pa.int8()}))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"id": "three"}', "number to string"),
        (b'{"id": 1.5}', "couldn't parse:1.5"),
        (b'{"id": 99999999999999999999}', "couldn't parse"),
        (b'{"id": 1, "id": 2}', "specified twice"),
        (b'{"other": 1}', "unexpected field"),
        (b'{"box": {"x": 1, "z": 1}}', "unexpected field"),
        (b'{"id": 1', "Missing a comma"),
        (b"[1]", "object to array"),
        (b'{"at": "\xff"}', "can't decode byte 0xff"),
        (b'{"at": "\\ud800"}', "surrogate"),
        (b'{"id": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "number to array"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: bytes, said: str) -> None:
    monkeypatch.setattr(json_lines, "_BLOCK_BYTES", 400_000)
    good = GOOD.splitlines()[0] + b"\n"
    before = 8000  # more than the first block, from which the types are told
    rows = source(tmp_path, good * before + b"\n" + line + b"\n" + good * 50)
    with pytest.raises(SourceMalformed) as caught:
        rows_of(rows)
    assert f"rows.jsonl, line {before + 2}: " in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": 1}\n{"a": "x"}\n', "a is int64 in one place and string in another"),
        (b'{"a": [1]}\n{"a": [{}]}\n', r"a\[\] is int64 in one place and an object in another"),
        (b'{"a": 1}\nnope\n', "line 2: Expecting value"),
        (b'{"a": 1, "a": 2}', "line 1: an object has two fields of one name"),
        (b"[1, 2]", "line 1: it must be an object"),
        (b'{"a": "\xff"}', "line 1: .*utf-8"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "line 1: .*recursion"),
        (b'{"a":' + b"[" * 50 + b"]" * 50 + b"}", "nested more than 30 deep"),
    ],
)
def test_first_lines_that_make_no_columns_are_named(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(SourceMalformed, match=said):
        source(tmp_path, content)


def test_a_line_without_end_takes_no_memory_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "_BLOCK_BYTES", 1000)
    with pytest.raises(SourceMalformed, match="line 2: it is longer than a row can be"):
        rows_of(source(tmp_path, b'{"a": 1}\n{"a": "' + b"x" * 5000 + b'"}'))


@pytest.mark.parametrize("block", [7, 64, 1 << 20])
def test_lines_do_not_depend_on_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    lines = b"".join(b'{"a":%d}\n' % i for i in range(100))
    whole = digest_of(source(tmp_path, lines))
    monkeypatch.setattr(json_lines, "_BLOCK_BYTES", max(block, 20))
    assert digest_of(source(tmp_path, lines.removesuffix(b"\n"))) == whole


def test_all_files_of_a_folder_have_the_types_of_the_first(tmp_path: Path) -> None:
    folder = write(tmp_path / "f", {"1.jsonl": b'{"a": 1.5, "b": "x"}\n', "2.jsonl": b'{"a": 2}\n'})
    assert rows_of(Source(folder)) == [{"a": 1.5, "b": "x"}, {"a": 2.0, "b": None}]
    write(folder, {"3.jsonl": b'\n{"a": "x"}\n'})
    with pytest.raises(SourceMalformed, match=r"3\.jsonl, line 2"):
        rows_of(Source(folder))


REFUSALS = ("SOURCE_MALFORMED", "INVALID_SCHEMA", "UNSUPPORTED_COLUMN_TYPE")
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(st.dictionaries(st.sampled_from("xyz"), values, max_size=3), max_size=4), st.data())
def test_any_bytes_are_rows_or_a_clean_error(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]], data: st.DataObject
) -> None:
    content = bytearray(b"".join(json.dumps(row).encode() + b"\n" for row in rows))
    for _ in range(data.draw(st.integers(0, 3)) if content else 0):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        rows_of(source(tmp_path_factory.mktemp("json"), bytes(content)))
    except HeadwaterError as error:
        assert error.reason in REFUSALS  # noqa: PT017  # most are rows
