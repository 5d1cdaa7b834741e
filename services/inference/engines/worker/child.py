"""The process of a worker: loads one model and computes until nobody asks any more."""

import dataclasses
import faulthandler
import hashlib
import json
import os
import socket
import sys
import tempfile
import threading
import traceback
from collections.abc import Sequence

import numpy as np

from headwater.errors import HeadwaterError
from services.inference.engines.engine import Engine, EngineFailed, EngineOutOfMemory, ModelRefused
from services.inference.engines.formats import load_here
from services.inference.engines.order import Order
from services.inference.engines.worker import wire
from services.inference.engines.worker.confinement import confine
from services.inference.engines.worker.memory import SharedMemory
from services.inference.tensors.datatypes import NUMPY_TYPES
from services.inference.tensors.model import Array

_STOP = 8


@dataclasses.dataclass(frozen=True, slots=True)
class Ends:
    """What a worker is handed: descriptors of its two sockets, of both memories, and of the model's file."""

    data: int
    control: int
    inputs: int
    outputs: int
    model: int


def run(ends: Ends) -> None:
    """Be a worker; returns when the service does not need it any more."""
    faulthandler.enable()  # its last words are the service's to log
    np.seterr(all="ignore")  # what overflows is an answer, not a warning in a log
    data = socket.socket(fileno=ends.data)
    order = Order.from_json(data.recv(wire.MAX_MESSAGE).decode())
    if order.scratch:
        tempfile.tempdir = os.environ["TMPDIR"] = order.scratch
    missing = confine(order.memory_bytes, cuda=order.options.on_cuda, scratch=order.scratch, compiler=order.compiler)
    try:
        with os.fdopen(ends.model, "rb") as file:
            content = file.read()
            if order.digest and order.digest != f"sha256:{hashlib.sha256(content).hexdigest()}":
                raise ModelRefused("The local copy of the model's file has changed.")
            engine = load_here(content, order)
            del content
        told = {
            "signature": dataclasses.asdict(engine.signature),
            "platform": engine.platform,
            "missing": missing,
        }
        data.send(wire.pack([wire.COMPUTED]) + json.dumps(told).encode())
    except Exception as error:
        data.send(_failure(error))
        return
    worker = _Worker(engine, data, SharedMemory(ends.inputs), SharedMemory(ends.outputs))
    control = socket.socket(fileno=ends.control)
    threading.Thread(target=worker.obey, args=(control,), daemon=True).start()
    worker.compute_until_closed()


class _Worker:
    def __init__(self, engine: Engine, data: socket.socket, inputs: SharedMemory, outputs: SharedMemory) -> None:
        self._engine = engine
        self._data = data
        self._inputs = inputs
        self._outputs = outputs
        self._lock = threading.Lock()
        self._number = 0
        self._dtypes = [NUMPY_TYPES[spec.datatype] for spec in engine.signature.outputs]

    def compute_until_closed(self) -> None:
        """Answer batch after batch."""
        buffer = bytearray(wire.MAX_MESSAGE)
        message = memoryview(buffer)
        receive, send = self._data.recv_into, self._data.send
        while length := receive(buffer):
            numbers = wire.unpack(message, length)
            with self._lock:
                self._number = numbers[0]
            try:
                answer = self._compute(numbers)
            except Exception as error:
                answer = _failure(error)
            with self._lock:
                self._number = 0
            send(answer)

    def obey(self, control: socket.socket) -> None:
        """Stop the batch whose number comes, if it is the one that is computed. Ends the process with the service."""
        while message := control.recv(_STOP):
            (number,) = wire.unpack(message, len(message))
            with self._lock:
                if number == self._number:
                    self._engine.stop()
        os._exit(0)

    def _compute(self, numbers: Sequence[int]) -> bytes:
        signature = self._engine.signature
        inputs = wire.find(numbers, signature.inputs, self._inputs, copied=False)
        outputs = self._engine.predict(inputs)
        self._check(outputs)
        return wire.lay(wire.COMPUTED, signature.outputs, outputs, self._outputs)

    def _check(self, outputs: Sequence[Array]) -> None:
        specs = self._engine.signature.outputs
        if len(outputs) != len(specs):
            raise EngineFailed(f"The model gave {len(outputs)} outputs; its signature has {len(specs)}.")
        for spec, output, dtype in zip(specs, outputs, self._dtypes, strict=True):
            if output.dtype != dtype:
                raise EngineFailed(f"The model gave {spec.name!r} as {output.dtype}; it must be {spec.datatype}.")


def _failure(error: Exception) -> bytes:
    cause = error.__cause__ or error
    if isinstance(cause, MemoryError) or isinstance(error, OSError):  # memory for the answer is a file
        return wire.pack_failure(EngineOutOfMemory.reason, repr(cause))
    if isinstance(error, EngineFailed) and error.__cause__ is not None:  # for the service's log, and for nobody else
        return wire.pack_failure(error.reason, f"{error.message} {error.__cause__!r}")
    if isinstance(error, HeadwaterError):
        return wire.pack_failure(error.reason, error.message)
    traceback.print_exception(error, file=sys.stderr)
    return wire.pack_failure(EngineFailed.reason, repr(error))
