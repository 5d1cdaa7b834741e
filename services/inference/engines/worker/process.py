"""One worker process, as the service sees it."""

import json
import os
import signal
import socket
import struct
import threading
from collections.abc import Mapping, Sequence
from typing import BinaryIO, Self

from headwater.errors import HeadwaterError
from services.inference.engines.code import CodeChanged
from services.inference.engines.engine import (
    DeviceUnavailable,
    EngineCrashed,
    EngineFailed,
    EngineOutOfMemory,
    EngineTimedOut,
    ModelRefused,
    OptionRefused,
)
from services.inference.engines.order import Order, signature_from_plain
from services.inference.engines.worker import wire
from services.inference.engines.worker.confinement import SLACK_BYTES
from services.inference.engines.worker.memory import SharedMemory
from services.inference.engines.worker.template import Template
from services.inference.tensors.errors import InvalidTensor
from services.inference.tensors.model import Array

_GRACE_S = 1.0
"""How long an engine that was asked to stop may go on before its process is killed."""
_PAGE = os.sysconf("SC_PAGE_SIZE")
_RESIDENT, _DATA = 1, 5  # fields of /proc/<pid>/statm
_REFUSALS: Mapping[str, type[HeadwaterError]] = {
    each.reason: each for each in (ModelRefused, OptionRefused, DeviceUnavailable, CodeChanged, InvalidTensor)
}
"""What is told as the worker says it."""
_FAILURES = {each.reason: each for each in (EngineFailed, EngineOutOfMemory)}


class WorkerSaid(Exception):
    """The cause of a failure, in the words of the worker; for logs."""


class WorkerEnded(Exception):
    """The process has ended, or was ended, while something was asked of it."""


class Worker:
    """A process that has loaded one model. One thread computes at a time; ``stop`` and ``end`` may come from any."""

    def __init__(self, template: Template, order: Order) -> None:
        self.order = order
        self.ended_for = ""
        """Why the service has ended it: ``time``, ``memory``, ``protocol`` or ``close``; empty where it has not."""
        self.pid = 0
        self.baseline_bytes = 0
        self._template = template
        self._baseline_data_bytes = 0
        self._ending = threading.Lock()
        self._has_ended = False
        self._status_at_end: int | None = None
        self._number = 0
        self._timeout_s = 0.0
        self._gathered: wire.Places | None = None
        self._inputs = SharedMemory.create("headwater-inputs")
        self._outputs = SharedMemory.create("headwater-outputs")
        self._buffer = bytearray(wire.MAX_MESSAGE)
        self._message = memoryview(self._buffer)
        self._computing = threading.Lock()
        self._closed = False
        self._data, self._control = (socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2))
        self.control = self._control[0]
        """Readable when the process has ended, and never before."""

    @classmethod
    def start(
        cls, template: Template, order: Order, file: BinaryIO, *, load_timeout_s: float, timeout_s: float
    ) -> Self:
        """A worker that has loaded the model in ``file`` and computed once.

        Raises:
            ModelRefused: it may not or cannot be loaded, or not in time.
            EngineCrashed, EngineOutOfMemory: it did not come that far.
            TemplateGone: there is no process to be had.
        """
        worker = cls(template, order)
        try:
            worker._begin(file, load_timeout_s)
        except BaseException:
            worker.end("close")
            worker.close()
            raise
        worker._wait_for_answers(timeout_s)
        return worker

    def _begin(self, file: BinaryIO, load_timeout_s: float) -> None:
        with self._data[1] as data, self._control[1] as control:
            # A descriptor of its own, because the position in a file is shared by all who hold it.
            model = os.open(f"/proc/self/fd/{file.fileno()}", os.O_RDONLY | os.O_CLOEXEC)
            memories = self._inputs.descriptor, self._outputs.descriptor
            try:
                self.pid = self._template.fork([data.fileno(), control.fileno(), *memories, model])
            finally:
                os.close(model)
        self.baseline_bytes, self._baseline_data_bytes = self.resident_bytes(), self._statm(_DATA)
        self._wait_for_answers(load_timeout_s)
        try:
            self._data[0].send(self.order.to_json().encode())
            length = self._receive()
        except TimeoutError as error:
            raise ModelRefused(f"The model did not load within {load_timeout_s:g} s.") from error
        except (OSError, WorkerEnded) as error:
            raise EngineCrashed(f"The model's process ended while it loaded: {self.describe_end()}.") from error
        if self._status(length) != wire.COMPUTED:
            raise self._failure(length)
        told = json.loads(bytes(self._message[8:length]))
        self.signature = signature_from_plain(told["signature"])
        self.platform = str(told["platform"])
        self.missing: list[str] = told["missing"]
        if self.order.options.on_cuda:  # its driver takes more than many models, and is none of theirs
            self.baseline_bytes = self.resident_bytes()

    def gather(self, requests: Sequence[Sequence[Array]]) -> list[Array]:
        """See Engine: laid where the worker reads them."""
        with self._computing:
            if self._closed:
                raise WorkerEnded
            self._gathered = wire.Places(self.signature.inputs, requests, self._inputs)
            return list(self._gathered.arrays)

    def compute(self, inputs: Sequence[Array]) -> list[Array]:
        """The outputs for ``inputs``.

        Raises:
            EngineFailed, InvalidTensor: the model cannot compute this.
            WorkerEnded: the process has ended, or computed for too long and was ended.
        """
        with self._computing:
            if self._closed:
                raise WorkerEnded
            self._number += 1
            gathered, self._gathered = self._gathered, None
            try:
                self._data[0].send(wire.lay(self._number, self.signature.inputs, inputs, self._inputs, gathered))
                length = self._receive_in_time()
            except ConnectionError as error:
                raise WorkerEnded from error
            except OSError as error:
                raise EngineFailed("The inputs cannot be handed to the model's process.") from error
            if self._status(length) != wire.COMPUTED:
                raise self._failure(length)
            try:
                numbers = wire.unpack(self._message, length)
                return wire.find(numbers, self.signature.outputs, self._outputs, copied=True)
            except wire.Malformed as error:
                self.end("protocol")
                raise WorkerEnded from error

    def stop(self) -> None:
        """Ask for the batch under way to be given up. Not every engine can."""
        try:
            self.control.send(wire.pack([self._number]), socket.MSG_DONTWAIT)
        except OSError:  # it has ended
            return

    def end(self, reason: str) -> None:
        """Kill the process, if it lives. What waits for it gets WorkerEnded."""
        with self._ending:
            if not self._has_ended:
                self._has_ended = True
                self.ended_for = self.ended_for or reason
                self._status_at_end = self._template.end(self.pid) if self.pid else None

    def close(self) -> None:
        """Free what is held, after it has ended."""
        with self._computing:
            self._closed = True
            self._data[0].close()
            self.control.close()
            self._inputs.close()
            self._outputs.close()

    def resident_bytes(self) -> int:
        """The memory that it takes now; 0 when it has ended."""
        return self._statm(_RESIDENT)

    def is_full(self) -> bool:
        """Whether it holds so much memory that it leaks, rather than having been asked for too much at once."""
        return self._statm(_DATA) - self._baseline_data_bytes > (self.order.memory_bytes + SLACK_BYTES) / 2

    def describe_end(self) -> str:
        """How it ended, in words. Ends it if it has not."""
        self.end(self.ended_for)
        status = self._status_at_end
        if status is None:
            return "nobody knows how"
        return f"killed by {_signal_name(-status)}" if status < 0 else f"exit code {status}"

    def _statm(self, field: int) -> int:
        try:
            with open(f"/proc/{self.pid}/statm", "rb") as file:
                return int(file.read().split()[field]) * _PAGE
        except (OSError, IndexError):
            return 0

    def _wait_for_answers(self, seconds: float) -> None:
        # By the kernel: a timeout of Python's sockets would cost a call of poll for each message.
        whole = int(seconds)
        self._data[0].setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", whole, int((seconds - whole) * 1e6))
        )
        self._timeout_s = seconds

    def _receive(self) -> int:
        try:
            length = self._data[0].recv_into(self._buffer)
        except BlockingIOError as error:
            raise TimeoutError from error
        if length < 8:
            raise WorkerEnded
        return length

    def _receive_in_time(self) -> int:
        try:
            return self._receive()
        except TimeoutError:
            self.ended_for = "time"
            self.stop()
        allowed = self._timeout_s
        self._wait_for_answers(_GRACE_S)
        try:
            length = self._receive()
        except TimeoutError as error:
            raise WorkerEnded from error
        self._wait_for_answers(allowed)
        self.ended_for = ""
        if self._status(length) == wire.COMPUTED:
            return length  # it was ready just then
        raise EngineTimedOut(limit_s=allowed)

    def _status(self, length: int) -> int:
        return wire.unpack(self._message, min(length, 8))[0]

    def _failure(self, length: int) -> Exception:
        try:
            reason, text = wire.unpack_failure(self._message, length)
        except wire.Malformed:
            reason, text = "", "an answer that cannot be read"
        if reason in _REFUSALS:
            return _REFUSALS[reason](text)
        error = _FAILURES.get(reason, EngineFailed)()
        error.__cause__ = WorkerSaid(text)
        return error


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most real-time signals have none
        return f"signal {number}"
