"""Rows whose stored bytes are damaged: nobody gets them, and whoever has them can put them again (promise 5)."""

import asyncio
from pathlib import Path

import pyarrow as pa
import pytest

from headwater import datasets
from headwater.client import Connection
from headwater.errors import DataLoss

ROWS = datasets.Tables({"train": pa.table({"text": [f"row {number}" * 9 for number in range(5_000)]})})


@pytest.mark.parametrize("is_gone", [False, True])
async def test_pushing_damaged_rows_again_heals_every_version_that_has_them(
    connection: Connection, blobs_dir: Path, is_gone: bool
) -> None:
    def story() -> None:
        first = datasets.push(connection, "first", ROWS).version.name
        (pack,) = (path for path in blobs_dir.rglob("*") if path.is_file())
        content = bytearray(pack.read_bytes())
        pack.unlink()
        if not is_gone:
            content[len(content) // 2] ^= 1
            pack.write_bytes(content)
        for _ in range(2):
            with pytest.raises(DataLoss):
                datasets.reader(connection, first, "train").read_all()
        again = datasets.push(connection, "second", ROWS)
        assert again.new_chunk_count == again.chunk_count
        assert again.sent_bytes > 0
        for version in (first, again.version.name):
            datasets.verify(connection, version)
            assert datasets.reader(connection, version, "train", shuffle=(1, 1)).read_all().num_rows == 5_000

    await asyncio.to_thread(story)
