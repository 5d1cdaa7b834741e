"""Does what jobs ask for, one after the other; of several replicas each takes what no other has."""

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import structlog
from pydantic import TypeAdapter

from headwater import parity
from headwater.errors import DeadlineExceeded, HeadwaterError, ResourceExhausted, Unavailable
from headwater.names import ModelName
from services.inference.conversions.evidence import Evidence
from services.inference.conversions.model import Job, Made, State
from services.inference.conversions.publishing import NewVersion, Publisher
from services.inference.conversions.store import Claimed, ConversionStore, End
from services.inference.conversions.workshop import Report, Work, Workshop
from services.inference.engines import formats
from services.inference.models.cache import ModelCache
from services.inference.models.source import ModelSource, ModelVersion, Selector, SelectorKind

PATHS = {"onnx": "model.onnx", "torchscript": "model.torchscript.pt"}
"""What a file that was made is called within its version."""
EVIDENCE_PATH = "conversion.json"
_FORMATS = ("onnx", "torch_export", "torchscript")
_AGAIN = (Unavailable, DeadlineExceeded, ResourceExhausted)
_EVIDENCE = TypeAdapter(Evidence)

_log = structlog.get_logger("inference.conversions")


@dataclasses.dataclass(frozen=True, slots=True)
class Timing:
    """How often to look for jobs, how long a replica that is silent keeps its job, and how long to wait for what is
    away, in seconds."""

    poll_s: float = 1.0
    lease_s: float = 30.0
    pause_s: float = 5.0


class Runner:
    """Works on one job at a time."""

    def __init__(
        self,
        store: ConversionStore,
        models: ModelSource,
        cache: ModelCache,
        publisher: Publisher,
        workshop: Workshop,
        timing: Timing = Timing(),
    ) -> None:
        self._store = store
        self._models = models
        self._cache = cache
        self._publisher = publisher
        self._workshop = workshop
        self._timing = timing

    async def run(self) -> None:
        """Work until cancelled. A job that this interrupts is given back."""
        while True:
            claimed = await self._store.claim(self._timing.lease_s)
            if claimed is None:
                await asyncio.sleep(self._timing.poll_s)
            else:
                await self._own(claimed)

    async def _own(self, claimed: Claimed) -> None:
        uid, token = claimed.job.uid, claimed.token
        work = asyncio.create_task(self._end_of(claimed))
        watch = asyncio.create_task(self._keep(uid, token))
        try:
            await asyncio.wait([work, watch], return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                await self._tell(uid, token, work)
        finally:
            for task in (work, watch):
                task.cancel()
            await asyncio.gather(work, watch, return_exceptions=True)
            with contextlib.suppress(HeadwaterError):
                await asyncio.shield(self._store.release(uid, token))  # nothing where it has ended

    async def _tell(self, uid: str, token: str, work: "asyncio.Task[End | None]") -> None:
        try:
            end = work.result()
        except _AGAIN as error:
            _log.warning("a job waits for what it needs", job=uid, exc_info=error)
            await asyncio.sleep(self._timing.pause_s)
            return
        except HeadwaterError as error:
            end = End(State.FAILED, failure_reason=error.reason, failure=error.message)
        except Exception as error:
            _log.error("a job failed for a reason of our own", job=uid, exc_info=error)
            end = End(State.FAILED, failure_reason="INTERNAL", failure="The service failed; its log says why.")
        if end is None or not await self._store.finish(uid, token, end):
            _log.info("a job ended before its work did", job=uid)

    async def _keep(self, uid: str, token: str) -> None:
        """Renew the lease until it is not ours any more; that is how a cancelled job is noticed."""
        silent_s = 0.0
        while silent_s < self._timing.lease_s:
            await asyncio.sleep(self._timing.poll_s)
            try:
                if not await self._store.renew(uid, token, self._timing.lease_s):
                    return
                silent_s = 0.0
            except HeadwaterError as error:  # the database is away; another replica may have it by now
                silent_s += self._timing.poll_s
                _log.warning("a job's lease could not be renewed", job=uid, exc_info=error)

    async def _end_of(self, claimed: Claimed) -> End | None:
        """How the job ended; None where it turned out to be somebody else's."""
        job = claimed.job
        selector = Selector(SelectorKind.VERSION, job.plan.source.version)
        version = await self._models.resolve(_model(job), selector)
        version.check_usable()
        made = job.made
        if made is None:
            report = await self._report(job, version)
            if report.failure_reason:
                return End(State.FAILED, report.evidence, "", report.failure_reason, report.failure)
            if not report.model:
                return End(State.SUCCEEDED, report.evidence)
            made = await self._upload(job, report)
            if not await self._store.keep(job.uid, claimed.token, made):
                return None
        name = await self._publisher.publish(NewVersion(job.uid, version, made))
        return End(State.SUCCEEDED, made.evidence, str(name))

    async def _report(self, job: Job, version: ModelVersion) -> Report:
        state_of = job.plan.engine.architecture
        file = version.servable_file(tuple(formats.STATE_LOADERS) if state_of else _FORMATS, to_be="converted")
        record = version.parity_record
        recorded = await self._cache.read(_model(job), record) if record is not None else b""
        opened = await self._cache.open(_model(job), file)
        return await self._workshop.work(Work(job.plan, version, file, recorded), opened)

    async def _upload(self, job: Job, report: Report) -> Made:
        assert report.evidence is not None
        files = {
            path: await self._publisher.upload(job.plan.source.project, path, content)
            for path, content in _files(report).items()
        }
        return Made(files, PATHS[report.format], report.format, _metadata(job, report), report.evidence)


def _model(job: Job) -> ModelName:
    return ModelName(job.plan.source.project, job.plan.source.model)


def _files(report: Report) -> Mapping[str, bytes]:
    assert report.evidence is not None
    evidence = json.dumps(_EVIDENCE.dump_python(report.evidence, mode="json"), indent=2).encode()
    files = {PATHS[report.format]: report.model, EVIDENCE_PATH: evidence}
    return {**files, parity.PATH: report.parity} if report.parity else files


def _metadata(job: Job, report: Report) -> Mapping[str, str]:
    """What is said of the version where it is listed; all of it is in its file conversion.json."""
    assert report.evidence is not None
    choice = report.evidence.choice
    assert choice is not None
    told: dict[str, Any] = {
        "converted_from": str(job.plan.source),
        "conversion_job": str(job.name),
        "conversion": choice.format,
        "compared_samples": report.evidence.sample_count,
        "speedup": f"{report.evidence.speedup:.3g}",
        "top1_agreement": f"{choice.top1_agreement:.4g}",
    }
    largest = [each.largest_absolute for each in choice.differences]
    told["largest_difference"] = "infinite" if None in largest else f"{max(filter(None, largest), default=0.0):.3g}"
    gate = job.plan.gate
    if gate.min_top1_agreement is None:
        told["tolerance"] = f"{gate.absolute:g} + {gate.relative:g} × |expected|"
    else:
        told["tolerance"] = f"top-1 agreement of at least {gate.min_top1_agreement:g}"
    return {key: str(value) for key, value in told.items()}
