"""From files to protos; pure."""

from headwater.dataset.v1 import flight_pb2
from services.dataset.handoff.handoff import LocalFiles


def local_files_to_proto(files: LocalFiles) -> flight_pb2.LocalFiles:
    """The answer to ``local_files``."""
    rows = [
        flight_pb2.LocalRows(file=file, batch=slice_.block, first_row=slice_.row, row_count=slice_.row_count)
        for file, slice_ in files.rows
    ]
    return flight_pb2.LocalFiles(
        arrow_schema=bytes(files.schema.serialize()), paths=files.paths, rows=rows, warning=files.warning
    )
