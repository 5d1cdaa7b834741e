"""Streams that are taken up again where they broke."""

import time
from collections.abc import Callable, Generator, Iterator

import pyarrow as pa

from headwater.errors import HeadwaterError
from headwater.patience import Pauses


def unbroken(
    open_after: Callable[[int], Iterator[pa.RecordBatch]], patience_s: float
) -> Generator[pa.RecordBatch, None, None]:
    """The rows of ``open_after(0)``; when the service goes away, after n rows, goes on with those of ``open_after(n)``.

    Raises:
        HeadwaterError: the service refuses, or has been away for ``patience_s`` in which no row came.
    """
    received, pauses = 0, Pauses(patience_s)
    while True:
        try:
            for batch in open_after(received):
                received, pauses = received + batch.num_rows, Pauses(patience_s)
                yield batch
        except HeadwaterError as error:
            time.sleep(pauses.after(error))
        else:
            return
