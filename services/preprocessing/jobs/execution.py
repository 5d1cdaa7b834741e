"""One attempt at one job, from the rows of the source version to a committed output version."""

import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pyarrow as pa

from chassis.launchers import Launcher
from headwater.dataset.v1 import datasets_pb2
from headwater.transforms import catalogue, engine
from headwater.transforms.model import Step
from services.preprocessing.cache.keys import prefix_key
from services.preprocessing.cache.tiers import StepCache
from services.preprocessing.jobs import compute, recipe
from services.preprocessing.jobs.datasets import Datasets, Stored
from services.preprocessing.jobs.model import Job, Progress
from services.preprocessing.pipelines.model import PipelineVersion

_WINDOW = 32
"""Chunks in flight: bounds the memory of a job to about this many times 8 MiB."""

Chunk = datasets_pb2.Chunk
Report = Callable[[Progress], Awaitable[None]]


@dataclasses.dataclass(frozen=True, slots=True)
class Computed:
    """The rows of one output chunk."""

    rows: pa.RecordBatch
    cached: bool


class Execution:
    """Computes and commits what one job asks for. Running it again gives the same rows, and so the same version."""

    def __init__(self, datasets: Datasets, cache: StepCache, launcher: Launcher, workers: int) -> None:
        self._datasets = datasets
        self._cache = cache
        self._launcher = launcher
        self._workers = workers

    async def run(
        self,
        job: Job,
        attempt: int,
        pipeline: PipelineVersion,
        source: Stored,
        report: Report,
    ) -> datasets_pb2.CommitUploadResponse:
        """Process every split and commit the result.

        Raises:
            HeadwaterError: a row cannot be processed, or a dependency is away.
        """
        steps = tuple(catalogue.with_decode(pipeline.definition.steps))
        upload = await self._datasets.open_upload(str(job.output_dataset), f"{job.name.job}-{attempt}")
        progress = Progress(chunk_count=sum(split.chunk_count for split in source.splits))
        await report(progress)
        for split in source.splits:
            progress = await self._split(upload, source, split.name, steps, progress, report)
        message = f"{pipeline.name.pipeline} {pipeline.name.version} of {source.name}"
        return await self._datasets.commit(
            upload, message, recipe.recipe_of(pipeline, steps, source), f"{job.name.job}-{attempt}"
        )

    async def _split(
        self, upload: str, stored: Stored, split: str, steps: tuple[Step, ...], progress: Progress, report: Report
    ) -> Progress:
        computed = self._computed(stored, split, steps)
        first = await anext(computed, None)
        if first is None:
            return progress  # a split without rows has no schema to write, and nothing to say
        async with self._datasets.writer(upload, split, first.rows.schema) as writer:
            chunk: Computed | None = first
            while chunk is not None:
                await writer.write(chunk.rows)
                progress = Progress(
                    progress.chunk_count,
                    progress.done_chunk_count + 1,
                    progress.cached_chunk_count + chunk.cached,
                    progress.done_row_count + chunk.rows.num_rows,
                )
                await report(progress)
                chunk = await anext(computed, None)
        return progress

    async def _computed(self, stored: Stored, split: str, steps: tuple[Step, ...]) -> AsyncIterator[Computed]:
        async for page in self._datasets.chunks(stored, split):
            for start in range(0, len(page), _WINDOW):
                async for computed in self._window(stored, split, page[start : start + _WINDOW], steps):
                    yield computed

    async def _window(
        self, stored: Stored, split: str, chunks: Sequence[Chunk], steps: tuple[Step, ...]
    ) -> AsyncIterator[Computed]:
        found = [await self._look_up(chunk.digest, steps) for chunk in chunks]
        tasks = [
            self._task(stored, split, chunk, steps, known)
            for chunk, known in zip(chunks, found, strict=True)
            if known.length < len(steps)
        ]
        results = self._launcher.map(compute.process, tasks, workers=self._workers)
        for chunk, known in zip(chunks, found, strict=True):
            if known.length == len(steps):
                yield Computed(engine.result(engine.Prefix(known.length, compute.unpack(known.stream))), cached=True)
                continue
            result = (await anext(results)).unwrap()
            for length, stream in result.kept:
                await self._cache.put(_key(chunk.digest, steps[:length]), stream)
            yield Computed(compute.unpack(result.rows), cached=False)

    async def _look_up(self, chunk_digest: str, steps: tuple[Step, ...]) -> "_Known":
        for length in reversed(_cached_lengths(steps)):
            stream = await self._cache.get(_key(chunk_digest, steps[:length]))
            if stream is not None:
                return _Known(length, stream)
        return _Known(0, b"")

    def _task(self, stored: Stored, split: str, chunk: Chunk, steps: tuple[Step, ...], known: "_Known") -> compute.Task:
        return compute.Task(
            flight_address=self._datasets.flight_address,
            token=self._datasets.token,
            version=stored.version,
            checkpoint=stored.checkpoint,
            split=split,
            first_row=chunk.first_row,
            row_count=chunk.row_count,
            steps=steps,
            keep=tuple(length for length in _cached_lengths(steps) if length > known.length),
            known=known.stream,
            known_length=known.length,
        )


@dataclasses.dataclass(frozen=True, slots=True)
class _Known:
    """The longest prefix of the steps whose result the cache has; length 0 for none."""

    length: int
    stream: bytes


def _cached_lengths(steps: Sequence[Step]) -> list[int]:
    return [index for index, step in enumerate(steps, start=1) if step.cache]


def _key(chunk_digest: str, steps: Sequence[Step]) -> str:
    return prefix_key(chunk_digest, steps, engine.ENGINE_VERSION)
