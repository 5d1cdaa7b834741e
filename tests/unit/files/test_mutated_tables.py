"""Tables with bytes that were changed: rows or a clean error, and never a crash."""

import io
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.errors import HeadwaterError
from headwater.files import Source, split_by
from tests.unit.files.conftest import write
from tests.unit.files.test_images import digest_of

TABLE = pa.table({
    "n": pa.array([1, None, 3] * 5, pa.int64()),
    "text": pa.array(["a", None, "some longer text"] * 5),
    "kind": pa.array(["x", "y", "x"] * 5).dictionary_encode(),
    "list": pa.array([[1.5], None, [2.5, None]] * 5),
    "box": pa.array([{"a": 1, "b": b"x"}, None, {"a": None, "b": b""}] * 5),
})  # fmt: skip


def _arrow(open_writer: Any) -> bytes:
    stream = io.BytesIO()
    with open_writer(stream, TABLE.schema) as writer:
        writer.write_table(TABLE, 5)
    return stream.getvalue()


def _parquet() -> bytes:
    stream = io.BytesIO()
    pa.parquet.write_table(TABLE, stream, row_group_size=5)
    return stream.getvalue()


def _csv() -> bytes:
    stream = io.BytesIO()
    pa.csv.write_csv(TABLE.select(["n", "text"]), stream)
    return stream.getvalue()


CONTENTS = {
    "arrow": _arrow(pa.ipc.new_file),
    "arrows": _arrow(pa.ipc.new_stream),
    "parquet": _parquet(),
    "csv": _csv(),
}


@pytest.mark.parametrize("kind", CONTENTS)
@settings(max_examples=200)
@given(data=st.data())
def test_any_bytes_are_rows_or_a_clean_error(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject
) -> None:
    content = bytearray(CONTENTS[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(len(content) // 2, len(content) * 2)) :]
    path = write(tmp_path_factory.mktemp("rows"), {f"rows.{kind}": bytes(content)}) / f"rows.{kind}"
    try:
        digest_of(Source(path, split_by(data.draw(st.sampled_from(["stratum:n,a=0.5,b=0.5", "ratio:a=0.5,b=0.5"])))))
    except HeadwaterError as error:
        # With INVALID_SPLIT_BY, `n` had another name.
        assert error.reason in (  # noqa: PT017  # many are still rows
            "SOURCE_MALFORMED", "SOURCE_UNSUPPORTED", "INVALID_SCHEMA", "INVALID_SPLIT_BY",
            "UNSUPPORTED_COLUMN_TYPE",
        )  # fmt: skip
