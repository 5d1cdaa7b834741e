"""Where the lines of the request log go."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

import structlog

from services.inference.records.log_line import log_line
from services.inference.records.model import Record
from services.inference.records.pacing import paced

STANDARD_OUTPUT = "stdout"

_log = structlog.get_logger("inference.request_log")


class RequestLog:
    """Writes a line for each record, many at once, to a file or to standard output. Call it in a thread.

    A file that somebody has moved away is made anew, so that logrotate needs nothing but a rename. When a line cannot
    be written requests go on: the record is what counts, and the log of the service says how many lines are missing.
    """

    def __init__(self, place: str, output: TextIO | None = None) -> None:
        """``place`` is ``stdout``, or the absolute path of a file."""
        self._append: Callable[[bytes], None] = self._to_file
        self._path = Path(place)
        if place == STANDARD_OUTPUT:
            self._output = output or sys.stdout
            self._append = self._to_output
        self._failing = False
        self.lost = 0

    def __call__(self, records: Sequence[Record]) -> None:
        """Write their lines."""
        lines = "".join(f"{log_line(record)}\n" for record in paced(records)).encode()
        try:
            self._append(lines)
        except OSError as error:
            self.lost += len(records)
            if not self._failing:
                _log.error("lines of the request log are lost", reason=error.strerror)
            self._failing = True
        else:
            if self._failing:
                _log.info("the request log goes on", lost=self.lost)
            self._failing = False

    def _to_file(self, lines: bytes) -> None:
        # Opened for each batch, some times a second: that is how a file that was moved away is noticed.
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            while lines:
                lines = lines[os.write(descriptor, lines) :]
        finally:
            os.close(descriptor)

    def _to_output(self, lines: bytes) -> None:
        self._output.write(lines.decode())
        self._output.flush()
