"""The pipeline of one loaded version: raw bytes in, the model's input out, off the event loop and bounded."""

import asyncio
import concurrent.futures
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from headwater.errors import HeadwaterError
from headwater.parity.words import RAW
from headwater.tensors import Array, Tensor
from headwater.transforms import Pipeline, PipelineMisfit
from headwater.transforms.feeding import Feed, Input
from headwater.transforms.pipeline import stacked
from services.inference.errors import ModelNotReady, QueueFull
from services.inference.models.source import ModelVersion
from services.inference.preparing.errors import NoPipeline, PipelineDamaged, RawRefused
from services.inference.preparing.options import Takes
from services.inference.preparing.room import RETRY_MS, Place, Room
from services.inference.preparing.work import Work
from services.inference.tensors.model import Signature, TensorSpec

THREADS: Final = min(8, os.cpu_count() or 1)


class Preparation:
    """How a version takes raw bytes: by its pipeline, or not at all. Used in one event loop.

    Its threads are its own and are started by the first raw request: a version whose images take long holds up no
    other one.

    Attributes:
        takes: what the deployment says now.
        digest: of the pipeline; empty for none.
        why_not: why raw bytes are not taken; empty if they are.
    """

    def __init__(
        self, pipeline: Pipeline | None, signature: Signature, takes: Takes, *, max_requests: int, max_bytes: int
    ) -> None:
        self.takes = takes
        self.max_requests = max_requests
        self.digest = pipeline.digest if pipeline else ""
        self.rows = 0
        """How many rows have been prepared."""
        self.seconds = 0.0
        """How long requests have waited for that, together."""
        self._pipeline = pipeline
        self._own_raw = any(spec.name == RAW for spec in signature.inputs)
        self._feed, self.why_not = _feed(pipeline, signature)
        self._room = Room(max_bytes)
        self._requests = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing = False
        self._threads: concurrent.futures.ThreadPoolExecutor | None = None
        self._signature = self._raw_signature(signature)

    @classmethod
    def of(
        cls, version: ModelVersion, signature: Signature, takes: Takes, *, max_requests: int, max_bytes: int
    ) -> "Preparation":
        """That of a version whose model has this signature.

        Raises:
            PipelineDamaged: the recorded document is not that of its digest, or none that this release runs.
            NoPipeline: only raw bytes are to be taken, and the version cannot.
        """
        made = cls(_pipeline(version), signature, takes, max_requests=max_requests, max_bytes=max_bytes)
        if takes is Takes.RAW and made.why_not:
            raise NoPipeline(f"Only raw bytes are to be taken. {made.why_not}")
        return made

    def follow(self, takes: Takes, max_requests: int) -> None:
        """Keep to what the deployment says now, from the next request on."""
        self.takes, self.max_requests = takes, max_requests

    def signature(self, of_model: Signature) -> Signature:
        """What clients are told to send, and what they get. Where either is taken that is the model's own: a version
        that has a pipeline because its data had one is to look to its clients as it would without."""
        return self._signature if self.takes is Takes.RAW and self._signature is not None else of_model

    def wants(self, inputs: Mapping[str, Tensor]) -> bool:
        """Whether these are to be prepared, or refused by ``arrays``; else they are the model's own."""
        if self.takes is not Takes.EITHER:
            return self.takes is Takes.RAW
        return RAW in inputs and self._pipeline is not None and not self._own_raw

    def tensor(self, files: Sequence[bytes]) -> Tensor:
        """The model's input for some files. Blocks; for the replay of a parity record.

        Raises:
            RowInvalid
        """
        assert self._pipeline is not None and self._feed is not None  # noqa: PT018
        return Tensor(self._feed.name, self._feed.datatype, self._feed.tensor(self._pipeline.prepare_all(files)))

    async def arrays(self, inputs: Mapping[str, Tensor]) -> list[Array]:
        """What the model takes, for a request that ``wants`` to be prepared.

        Raises:
            RawRefused: there is no ``raw`` of the right form, or it is too much; RowUnusable: a row cannot be prepared.
            QueueFull: too many requests, or bytes, are being prepared. ModelNotReady: this is closing.
        """
        feed, files = self._files(inputs)
        if self._closing:
            raise ModelNotReady(retry_after_ms=RETRY_MS)
        if self._requests >= self.max_requests:
            raise QueueFull(retry_after_ms=RETRY_MS)
        self._requests += 1
        self._idle.clear()
        begun = time.monotonic()
        place = Place(self._room)
        try:
            return [feed.tensor(await self._prepared(feed, files, place))]
        finally:
            # Who waits for this to be idle goes on only after the batcher has the request: nothing in between waits.
            self._requests -= 1
            self.seconds += time.monotonic() - begun
            place.leave()
            if not self._requests:
                self._idle.set()

    async def close(self) -> None:
        """Finish what was accepted, then stop the threads."""
        self._closing = True
        await self._idle.wait()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _prepared(self, feed: Feed, files: Sequence[bytes], place: Place) -> Array:
        assert self._pipeline is not None
        work = Work(self._pipeline, feed, files, place)
        if self._threads is None:
            self._threads = concurrent.futures.ThreadPoolExecutor(THREADS, thread_name_prefix="preparing")
        loop = asyncio.get_running_loop()
        helpers = [loop.run_in_executor(self._threads, work.run) for _ in range(min(len(files), THREADS))]
        try:
            await _all_of(helpers)
        finally:
            work.stop()
        if work.error is not None:
            raise work.error[1]
        self.rows += len(files)
        arrays = [array for array in work.arrays if array is not None]
        if len(arrays) == 1:
            return arrays[0][np.newaxis]  # no copy
        return await loop.run_in_executor(self._threads, stacked, arrays)

    def _files(self, inputs: Mapping[str, Tensor]) -> tuple[Feed, Sequence[bytes]]:
        if self._feed is None:
            raise RawRefused(f"Raw bytes are not taken. {self.why_not}")
        if inputs.keys() != {RAW}:
            raise RawRefused(f"The only input must be `{RAW}`: image files, BYTES [rows].", field="inputs")
        raw = inputs[RAW]
        if raw.datatype != "BYTES" or raw.array.ndim != 1 or not raw.array.size:
            raise RawRefused(
                f"`{RAW}` must be BYTES of shape [rows]; it is {raw.datatype} {list(raw.array.shape)}.", field=RAW
            )
        if not self._feed.has_rows and raw.array.size > 1:
            raise RawRefused(f"`{RAW}`: the model takes one row at a time; {raw.array.size} came.", field=RAW)
        return self._feed, list(raw.array)

    def _raw_signature(self, signature: Signature) -> Signature | None:
        if self._feed is None:
            return None
        rows = signature.inputs[0].shape[0] if self._feed.has_rows else 1
        return Signature((TensorSpec(RAW, "BYTES", (rows,)),), signature.outputs, signature.batchable)


async def _all_of(helpers: Iterable["asyncio.Future[None]"]) -> None:
    """Wait for every thread; one that fails for a reason that is no user's does not leave the others behind."""
    for result in await asyncio.gather(*helpers, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


def _pipeline(version: ModelVersion) -> Pipeline | None:
    recorded = version.preprocessing
    if recorded is None:
        return None
    try:
        pipeline = Pipeline.parse(recorded.document)
    except HeadwaterError as error:
        raise PipelineDamaged(f"The pipeline recorded with the version cannot be run: {error.message}") from error
    if pipeline.digest != recorded.digest:
        raise PipelineDamaged(f"The pipeline recorded with the version is {pipeline.digest}, not {recorded.digest}.")
    return pipeline


def _feed(pipeline: Pipeline | None, signature: Signature) -> tuple[Feed | None, str]:
    if pipeline is None:
        return None, "No pipeline was recorded with the version; send the inputs of the model."
    inputs = [Input(spec.name, spec.datatype, spec.shape) for spec in signature.inputs]
    try:
        return Feed.of(pipeline, inputs), ""
    except PipelineMisfit as error:
        return None, error.message
