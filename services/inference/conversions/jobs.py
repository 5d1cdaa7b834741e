"""The use cases of conversion jobs."""

import dataclasses

from chassis.ids import new_id
from chassis.paging import Page, decode_token, page_of, page_size, query_digest
from headwater.names import ConversionJobName, DeploymentName, ModelName
from services.inference.conversions.errors import InvalidConversion, NothingChosen
from services.inference.conversions.evidence import Candidate, Evidence
from services.inference.conversions.model import Job, Plan, State, Target
from services.inference.conversions.store import ConversionStore
from services.inference.deployments.deployments import Deployments, Origin
from services.inference.deployments.model import Deployment
from services.inference.engines.options import EngineOptions
from services.inference.models.source import ModelSource, Selector, SelectorKind


@dataclasses.dataclass(frozen=True, slots=True)
class Applied:
    """What a deployment was changed to. ``version`` is the number of the version that it serves."""

    deployment: Deployment
    version: str


class Conversions:
    """Asks for jobs, and uses what they have found."""

    def __init__(
        self, store: ConversionStore, source: ModelSource, deployments: Deployments, max_timeout_s: float
    ) -> None:
        self._store = store
        self._source = source
        self._deployments = deployments
        self._max_timeout_s = max_timeout_s

    async def create(self, project: str, plan: Plan, origin: Origin) -> Job:
        """A new job, which waits for a process.

        Raises:
            InvalidConversion: the version is of another project, or the job may not take so long.
            NoSuchVersion: there is no such version. UnsafeModel, VersionArchived: it may not be loaded.
            RequestIdReused: the request id came before with another body.
        """
        if plan.source.project != project:
            raise InvalidConversion("The version must be of the job's own project.", field="conversion_job.source")
        if plan.timeout_s > self._max_timeout_s:
            raise InvalidConversion(
                f"A job may take {self._max_timeout_s:g} s here.", field="conversion_job.timeout_seconds"
            )
        if plan.engine.on_cuda:
            raise InvalidConversion("Jobs compute on the CPU only.", field="conversion_job.engine.device")
        if plan.engine.callable or plan.engine.triton is not None:
            raise InvalidConversion(
                "A callable and a remote server have nothing that could be converted.", field="conversion_job.engine"
            )
        selector = Selector(SelectorKind.VERSION, plan.source.version)
        version = await self._source.resolve(ModelName(project, plan.source.model), selector)
        version.check_usable()
        # A semantic version stands for a number, which stays.
        plan = dataclasses.replace(plan, source=version.name)
        return await self._store.insert(new_id(), plan, origin.actor, origin.request_id, origin.body_digest)

    async def get(self, name: ConversionJobName) -> Job:
        """The job, or raise ConversionNotFound."""
        return await self._store.get(name)

    async def page(self, project: str, size: int, token: str) -> Page[Job]:
        """The jobs of a project, newest first."""
        size, query = page_size(size), query_digest("ListConversionJobs", project)
        before = decode_token(token, query, (str,))
        found = await self._store.page(project, str(before[0]) if before else "", size + 1)
        return page_of(found, size, key=lambda job: (job.uid,), query=query)

    async def cancel(self, name: ConversionJobName) -> Job:
        """End a job; raises ConversionNotFound, ConversionOver."""
        return await self._store.cancel(name)

    async def apply(self, name: ConversionJobName, deployment: DeploymentName) -> Applied:
        """Write what a tuning chose into a deployment: threads and largest batch, and the version where it is pinned.

        Raises:
            ConversionNotFound, DeploymentNotFound, DeploymentArchived
            NothingChosen: the job is no tuning that ended well, or the deployment serves another version than the one
                that was chosen, by a stage or alias, which is for somebody to move.
        """
        job = await self._store.get(name)
        evidence = job.evidence
        choice = evidence.choice if evidence else None
        if job.plan.tuning is None or job.state is not State.SUCCEEDED or evidence is None or choice is None:
            raise NothingChosen(f"{name} is no tuning that has ended well: it is {job.state.value}.", job=name)
        version = job.result.rpartition("/")[2] or job.plan.source.version
        current = await self._deployments.get(deployment)
        model = ModelName(job.plan.source.project, job.plan.source.model)
        if current.model != model:
            raise NothingChosen(f"{deployment} serves {current.model}; tuned was {model}.", job=name)
        if current.options.engine.on_cuda:
            raise NothingChosen(f"{deployment} computes on a GPU; measured was the CPU.", job=name)
        selector = None
        if current.selector.kind is SelectorKind.VERSION:
            selector = Selector(SelectorKind.VERSION, version)
        else:
            serves = await self._source.resolve(current.source, current.selector)
            if serves.name.version != version:
                raise NothingChosen(
                    f"{deployment} serves version {serves.name.version} by {current.selector}; chosen was version "
                    f"{version}: move the {current.selector.kind.value} to it first.",
                    job=name,
                )
        engine = _engine(job, choice, evidence)
        engine = dataclasses.replace(engine, instances=current.options.engine.instances, threads=choice.threads)
        batching = current.options.batching
        if evidence.max_batch_size:
            batching = dataclasses.replace(batching, max_batch_rows=evidence.max_batch_size)
        changed = await self._deployments.update(
            deployment, current.etag, selector=selector, options={"engine": engine, "batching": batching}
        )
        return Applied(changed, version)


def _engine(job: Job, choice: Candidate, evidence: Evidence) -> EngineOptions:
    """How the version is loaded: as the source was, or as what was made of it wants to be."""
    if not job.result:
        return job.plan.engine
    if choice.format == Target.TORCHSCRIPT.value:
        return EngineOptions(inputs=evidence.inputs, outputs=evidence.outputs)
    return EngineOptions()
