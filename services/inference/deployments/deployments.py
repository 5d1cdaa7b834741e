"""The use cases of deployments."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from chassis import etags
from chassis.clock import Clock
from chassis.ids import new_id
from chassis.paging import Page, decode_token, page_of, page_size, query_digest
from headwater.errors import DeadlineExceeded, PermissionDenied, ResourceExhausted, Unauthenticated, Unavailable
from headwater.names import DeploymentName, ModelName
from services.inference.deployments.errors import DeploymentArchived, InvalidDeployment
from services.inference.deployments.model import Deployment
from services.inference.deployments.options import Options
from services.inference.deployments.store import DeploymentStore
from services.inference.models.source import ModelSource, ModelVersion, NoSuchVersion, Selector, missing
from services.inference.traffic.rollouts.model import Kind
from services.inference.traffic.rollouts.model import State as RolloutState

_NOT_TOLD = (NoSuchVersion, Unavailable, DeadlineExceeded, ResourceExhausted, Unauthenticated, PermissionDenied)
"""What comes instead of a version; why nothing is served is told by the deployment's state, also when that passes."""


@dataclasses.dataclass(frozen=True, slots=True)
class Origin:
    """Who asks for a change, and by which request (promise 4)."""

    actor: str
    request_id: str = ""
    body_digest: str = ""


class Deployments:
    """What is to be served. ``changed`` is called after every change, so that serving follows at once."""

    def __init__(self, store: DeploymentStore, source: ModelSource, clock: Clock, changed: Callable[[], None]) -> None:
        self._store = store
        self._source = source
        self._clock = clock
        self._changed = changed

    async def create(
        self, name: DeploymentName, model: ModelName, selector: Selector, options: Options, origin: Origin
    ) -> Deployment:
        """Serve ``model`` as ``name`` from now on. Neither the model nor such a version need exist yet.

        Raises:
            ServedNameTaken: this name, whatever its case, is being served.
            InvalidDeployment: the model belongs to another project.
            UnsafeModel, VersionArchived: the version that it would serve now may not be served.
            RequestIdReused: the request id came before with another body.
        """
        if model.project != name.project:
            raise InvalidDeployment("The model must be of the deployment's own project.", field="deployment.model")
        version = await self._version(model, selector)
        async with self._store.transaction() as tx:
            first = await tx.first_result("CreateDeployment", origin.request_id, origin.body_digest)
            if first is not None:
                return await tx.get_by_uid(first)
            if version is not None:
                version.check_usable()
            now = self._clock.now()
            deployment = Deployment(name, new_id(), model, selector, options, now, now, origin.actor)
            await tx.insert(deployment)
            await tx.remember("CreateDeployment", origin.request_id, origin.body_digest, deployment.uid)
        self._changed()
        return deployment

    async def get(self, name: DeploymentName) -> Deployment:
        """The deployment that answers to ``name``, or else the one archived last; raises DeploymentNotFound."""
        async with self._store.transaction() as tx:
            return await tx.get(name)

    async def page(self, project: str, size: int, token: str) -> Page[Deployment]:
        """The deployments of a project that are not archived, by name."""
        size, query = page_size(size), query_digest("ListDeployments", project)
        after = decode_token(token, query, (str,))
        async with self._store.transaction() as tx:
            found = await tx.page(project, str(after[0]) if after else "", size + 1)
        return page_of(found, size, key=lambda deployment: (deployment.served_name,), query=query)

    async def update(
        self,
        name: DeploymentName,
        etag: str,
        *,
        selector: Selector | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Deployment:
        """Change what is given, and leave the rest. ``options`` are parts of :class:`Options`, by name.

        Raises:
            EtagMismatch: ``etag`` is given and is not the current one.
            DeploymentArchived, DeploymentNotFound
            UnsafeModel, VersionArchived: the version that it would serve now may not be served.
            NoSuchVersion: ``selector`` stands for no version, and the present one for one: what is served goes on.
        """
        before = await self.get(name)
        version = await self._version(before.source, selector) if selector else None
        ending = await self._ending(before, selector) if selector and version is None else None
        async with self._store.transaction() as tx:
            current = await tx.get(name, for_update=True)
            etags.check(etag, current.etag)
            if current.archive_time is not None:
                raise DeploymentArchived(deployment=name)
            if ending is not None:
                raise ending
            if version is not None:
                version.check_usable()
            changed = dataclasses.replace(
                current,
                selector=selector or current.selector,
                options=dataclasses.replace(current.options, **(options or {})),
                update_time=self._clock.now(),
                revision=current.revision + 1,
            )
            await tx.replace(changed)
        self._changed()
        return changed

    async def archive(self, name: DeploymentName, etag: str) -> Deployment:
        """Stop serving, and free the name. An archived deployment stays as it is.

        Raises:
            EtagMismatch: ``etag`` is given and is not the current one.
            DeploymentNotFound
        """
        async with self._store.transaction() as tx:
            current = await tx.get(name, for_update=True)
            etags.check(etag, current.etag)
            if current.archive_time is not None:
                return current
            now = self._clock.now()
            archived = dataclasses.replace(current, archive_time=now, update_time=now, revision=current.revision + 1)
            await tx.replace(archived)
            if (rollout := await tx.rollouts.active_of(current.uid)) is not None:
                over, why = await tx.rollouts.now(), "the deployment was archived"
                await tx.rollouts.replace(rollout.moved(Kind.ABORTED, RolloutState.ABORTED, over, reason=why))
        self._changed()
        return archived

    async def _ending(self, deployment: Deployment, selector: Selector) -> NoSuchVersion | None:
        """The error where ``selector`` instead of the present one would end what is served; None where it would not,
        or nobody can say."""
        try:
            await self._source.resolve(deployment.source, selector)
        except NoSuchVersion:
            if await self._version(deployment.source, deployment.selector) is not None:
                text = f"{missing(deployment.model, selector)} What is served goes on."
                return NoSuchVersion(text, model=deployment.model)
        except _NOT_TOLD:
            pass
        return None

    async def _version(self, model: ModelName, selector: Selector) -> ModelVersion | None:
        """The version that would be served now; None where there is none yet, or nobody can say."""
        try:
            return await self._source.resolve(model, selector)
        except _NOT_TOLD:
            return None
