"""A process of its own that reads rows for one that must not use gRPC, and hands them on through a pipe.

It takes a request on standard input and gives the rows on standard output: as an Arrow IPC stream between two bytes,
``R`` before it, or ``E`` when there is none, and after it ``.``, or ``E`` when it broke. An ``E`` is followed by a
serialized ``google.rpc.Status``.
"""

import base64
import contextlib
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Generator
from typing import IO

import pyarrow as pa
from google.rpc import status_pb2

from headwater.client import Connection, Endpoints
from headwater.dataset.v1 import flight_pb2
from headwater.errors import HeadwaterError, Unavailable
from headwater.status import from_proto, to_proto

_ROWS, _ERROR, _END = b"R", b"E", b"."
_PROGRAM = "from headwater.datasets import relay; relay.main()"


def read(endpoints: Endpoints, token: str, command: flight_pb2.GetCommand) -> Generator[pa.RecordBatch, None, None]:
    """The rows that a command asks for, read by a new process, which ends with this.

    Raises:
        HeadwaterError: what the service says; Unavailable also when the process dies.
    """
    request = {
        "endpoints": dataclasses.asdict(endpoints),
        "token": token,
        "command": base64.b64encode(command.SerializeToString()).decode(),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_environment()
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        with contextlib.suppress(BrokenPipeError):  # it is dead: the answer tells
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.close()
        if _kind(process.stdout) == _ROWS:
            yield from _batches(process.stdout)
            _kind(process.stdout)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _environment() -> dict[str, str]:
    """With the places where this process finds its modules."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _batches(answer: IO[bytes]) -> Generator[pa.RecordBatch, None, None]:
    try:
        yield from pa.ipc.open_stream(answer)
    except (pa.ArrowInvalid, OSError) as error:
        raise Unavailable("The process that reads rows for this one has died.") from error


def _kind(answer: IO[bytes]) -> bytes:
    """``_ROWS`` or ``_END``; raises what an ``_ERROR`` tells."""
    kind = answer.read(1)
    if not kind:
        raise Unavailable("The process that reads rows for this one has died.")
    if kind == _ERROR:
        raise from_proto(status_pb2.Status.FromString(answer.read()))
    return kind


def main() -> None:
    """Answer the request on standard input."""
    with contextlib.suppress(BrokenPipeError):  # the reader has enough
        _answer()


def _answer() -> None:
    from headwater.datasets import sources

    request = json.loads(sys.stdin.buffer.readline())
    command = flight_pb2.GetCommand.FromString(base64.b64decode(request["command"]))
    output = sys.stdout.buffer
    with Connection(Endpoints(**request["endpoints"]), request["token"]) as connection:
        writer: pa.RecordBatchStreamWriter | None = None
        try:
            for batch in sources.read(connection, command):
                if writer is None:
                    output.write(_ROWS)
                    writer = pa.ipc.new_stream(output, batch.schema)
                writer.write_batch(batch)
            ending = _END
        except HeadwaterError as error:
            ending = _ERROR + to_proto(error).SerializeToString()
        if writer is not None:
            writer.close()
        output.write(ending)
        output.flush()
