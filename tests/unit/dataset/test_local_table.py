"""A table over files of a service, which are mapped."""

from pathlib import Path

import pyarrow as pa

from headwater.dataset.v1 import flight_pb2
from headwater.datasets.local import _table


def test_files_of_an_older_release_and_of_this_one_make_one_table(tmp_path: Path) -> None:
    """Those of this one have the rows' digests beside them."""
    old = pa.record_batch({"id": [1, 2, 3]})
    new = pa.record_batch({"id": [4, 5], "headwater.row_digest": [b"4" * 32, b"5" * 32]})
    for name, batch in (("old", old), ("new", new)):
        with pa.ipc.new_file(tmp_path / name, batch.schema.with_metadata({"headwater.pack": name})) as writer:
            writer.write_batch(batch.replace_schema_metadata({"headwater.pack": name}))
    files = flight_pb2.LocalFiles(
        arrow_schema=old.schema.serialize().to_pybytes(),
        paths=[str(tmp_path / "old"), str(tmp_path / "new")],
        rows=[
            flight_pb2.LocalRows(file=0, batch=0, first_row=1, row_count=2),
            flight_pb2.LocalRows(file=1, batch=0, first_row=0, row_count=2),
        ],
    )
    assert _table(files).column("id").to_pylist() == [2, 3, 4, 5]
