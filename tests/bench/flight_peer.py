"""The peer of the Flight benchmark: a pyarrow server, as short as it can be, that returns a table from memory."""

import sys

import numpy as np
import pyarrow as pa
from pyarrow import flight

ROWS, WIDTH, BATCH_ROWS = 131_072, 1024, 512  # 512 MiB of float32, in batches of 2 MiB


def table() -> pa.Table:
    """The rows that both servers return."""
    values = np.random.default_rng(0).random(ROWS * WIDTH, dtype=np.float32)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(values), WIDTH)
    return pa.Table.from_batches(pa.table({"vector": vectors}).to_batches(max_chunksize=BATCH_ROWS))


class Server(flight.FlightServerBase):  # type: ignore[misc]
    """Answers every ticket with the table."""

    rows = table()

    def do_get(self, _context: flight.ServerCallContext, _ticket: flight.Ticket) -> flight.FlightDataStream:
        """All rows."""
        return flight.RecordBatchStream(self.rows)


if __name__ == "__main__":
    Server(sys.argv[1]).serve()
