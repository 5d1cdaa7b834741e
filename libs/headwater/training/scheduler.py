"""The worker's line to the scheduler: what to do, how far it has come, whether it should stop."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from headwater import digests
from headwater.client import Connection
from headwater.errors import Aborted, DataLoss, HeadwaterError
from headwater.patience import PATIENCE_S, patiently
from headwater.training.environment import JobToken, Worker
from headwater.training.v1 import jobs_pb2, workers_pb2, workers_pb2_grpc

_HEARTBEAT_S = 5.0
_REPORT_S = 0.5
_MESSAGE_BYTES = 2**20
_STALE_EXIT_CODE = 75  # EX_TEMPFAIL


def leave() -> None:
    """End this process at once: another attempt has taken its place, nothing it does can count any more."""
    print("headwater: this attempt is over, another one has taken its place", file=sys.stderr, flush=True)
    os._exit(_STALE_EXIT_CODE)


class SchedulerLink:
    """Calls in the name of one worker, and a heartbeat in the background between ``start`` and ``close``."""

    def __init__(
        self, connection: Connection, token: JobToken, worker: Worker, *, on_stale: Callable[[], None] = leave
    ) -> None:
        self._token = token
        self._stub = workers_pb2_grpc.TrainingWorkerServiceStub(connection.channel("training"))
        self._worker = worker
        self._on_stale = on_stale
        self._progress = jobs_pb2.Progress()
        self._reported = jobs_pb2.Progress()
        self._reported_at = 0.0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="headwater-heartbeat", daemon=True)
        self.stop_requested = threading.Event()

    def start(self) -> None:
        """Begin to report progress and to listen for a request to stop."""
        self._thread.start()

    def assignment(self) -> workers_pb2.Assignment:
        """What to do."""
        request = workers_pb2.GetAssignmentRequest(worker=self._worker.to_proto())
        return patiently(lambda: self._stub.GetAssignment(request))

    def progress(self, change: Callable[[jobs_pb2.Progress], None]) -> None:
        """Change what will be reported next."""
        with self._lock:
            change(self._progress)

    def upload_checkpoint(self, path: Path, *, epoch: int, step: int) -> jobs_pb2.Checkpoint:
        """Save a checkpoint file; when this returns it is durable."""
        header = workers_pb2.UploadCheckpointHeader(
            worker=self._worker.to_proto(),
            checkpoint=jobs_pb2.Checkpoint(
                epoch=epoch, step=step, digest=digests.of_file(path), size_bytes=path.stat().st_size
            ),
        )

        def messages() -> Iterator[workers_pb2.UploadCheckpointRequest]:
            yield workers_pb2.UploadCheckpointRequest(header=header)
            with path.open("rb") as file:
                while data := file.read(_MESSAGE_BYTES):
                    yield workers_pb2.UploadCheckpointRequest(data=data)

        return patiently(lambda: self._stub.UploadCheckpoint(messages(), timeout=_transfer_timeout_s(path)))

    def download_checkpoint(self, checkpoint: jobs_pb2.Checkpoint, path: Path) -> None:
        """Fetch the newest checkpoint, which is ``checkpoint``, into ``path``.

        Raises:
            DataLoss: what came is not it.
        """
        request = workers_pb2.DownloadCheckpointRequest(worker=self._worker.to_proto())

        def fetch() -> None:
            with path.open("wb") as file:
                for response in self._stub.DownloadCheckpoint(request, timeout=PATIENCE_S * 10):
                    file.write(response.data)

        patiently(fetch)
        if digests.of_file(path) != checkpoint.digest:
            raise DataLoss("The checkpoint that came is not the one that was announced.", digest=checkpoint.digest)

    def report_result(self, result: jobs_pb2.TrainingResult) -> None:
        """Hand in what the training made."""
        request = workers_pb2.ReportResultRequest(worker=self._worker.to_proto(), result=result)
        patiently(lambda: self._stub.ReportResult(request))

    def close(self) -> None:
        """Report what is not reported yet and end the heartbeat."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()
        self._report()

    def _beat(self) -> None:
        while not self._closing.wait(_REPORT_S):
            try:
                self._report()
            except Aborted:
                self._on_stale()
                return
            except HeadwaterError:
                continue  # the scheduler is away; what matters is reported again by then

    def _report(self) -> None:
        with self._lock:
            progress = jobs_pb2.Progress()
            progress.CopyFrom(self._progress)
        due = time.monotonic() - self._reported_at >= _HEARTBEAT_S
        if not due and (progress == self._reported or self._worker.rank):
            return
        request = workers_pb2.ReportProgressRequest(worker=self._worker.to_proto(), progress=progress)
        answer = self._stub.ReportProgress(request)
        self._reported, self._reported_at = progress, time.monotonic()
        if answer.token:
            self._token.present = answer.token
        if answer.stop_requested:
            self.stop_requested.set()


def _transfer_timeout_s(path: Path) -> float:
    return PATIENCE_S + path.stat().st_size / 2**20  # at least 1 MiB/s
