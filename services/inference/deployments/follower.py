"""Follows one deployment: resolves its selector and keeps the version that it stands for loaded."""

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable

import structlog

from headwater.errors import DeadlineExceeded, FailedPrecondition, HeadwaterError, ResourceExhausted, Unavailable
from services.inference.deployments.loaded import Loaded
from services.inference.deployments.loading import Loading
from services.inference.deployments.model import WAITING, Deployment, State, Status, Use
from services.inference.models.source import ModelSource, ModelVersion, NoSuchVersion

_TRANSIENT = (Unavailable, DeadlineExceeded)
_FIRST_RETRY_S, _LAST_RETRY_S = 2.0, 60.0

_log = structlog.get_logger("inference.deployments")


class Follower:
    """One deployment, what is loaded for it, and how far the last attempt came.

    ``note`` gets the deployment when its model was found for the first time, or under another name. ``begin`` gets what
    is about to be served: no answer is given by a version of which that was not kept. ``retire`` gets what was loaded
    and is not any more; what it has accepted is still to be answered.
    """

    def __init__(
        self,
        deployment: Deployment,
        source: ModelSource,
        loading: Loading,
        *,
        note: Callable[[Deployment], Awaitable[None]],
        begin: Callable[[Use], Awaitable[None]],
        retire: Callable[[Loaded], None],
    ) -> None:
        self.deployment = deployment
        self.loaded: Loaded | None = None
        self._source = source
        self._loading = loading
        self._note = note
        self._begin = begin
        self._retire = retire
        self._failure = ""
        self._failed_digest = ""
        self._retry_s = _FIRST_RETRY_S
        self._next_attempt = 0.0
        self._task: asyncio.Task[None] | None = None

    @property
    def status(self) -> Status:
        """Whether the deployment answers, and with which version."""
        if self.loaded is None:
            return Status(State.FAILED, failure=self._failure) if self._failure else WAITING
        version = self.loaded.version
        state = State.FAILED if self._failure else State.READY
        return Status(state, str(version.name), version.digest, self._failure, version.warning)

    def step(self, deployment: Deployment) -> None:
        """Look for changes once more, with ``deployment`` as it is configured now; does not wait for what comes."""
        self.deployment = deployment
        if self.loaded is not None:
            self.loaded.batcher.limits = self._loading.limits(deployment.options.batching)
            self.loaded.batcher.stop_overdue()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._advance(deployment), name=f"follow {deployment.name}")

    async def settle(self) -> None:
        """Wait for what the last :meth:`step` has started."""
        if self._task is not None:
            await asyncio.wait([self._task])

    def stop(self) -> None:
        """Serve nothing any more."""
        if self._task is not None:
            self._task.cancel()
        self._replace(None)

    async def _advance(self, deployment: Deployment) -> None:
        try:
            version = await self._source.resolve(deployment.source, deployment.selector)
            following = deployment.following(version)
            if following != deployment:
                await self._note(following)
        except NoSuchVersion:
            # The source has spoken: what was taken out of its stage is not to be served any longer.
            self._failure = ""
            self._replace(None)
        except (*_TRANSIENT, ResourceExhausted) as error:
            # What is loaded goes on answering, and readiness tells of it.
            _log.debug("the models cannot be asked", deployment=str(deployment.name), exc_info=error)
        except Exception as error:
            self._fail(str(deployment.model), error)
        else:
            await self._serve(following, version)

    async def _serve(self, deployment: Deployment, version: ModelVersion) -> None:
        if self.loaded is None or not self.loaded.version.is_same(version):  # what is served already goes on
            try:
                version.check_usable()
            except FailedPrecondition as error:
                self._fail(str(self.deployment.model), error)
                return
        if self.loaded is not None and self.loaded.version.digest == version.digest:
            self._failure = ""
            if self.loaded.version != version:  # the same files under another number need no other engine
                await self._begin(Use.of(deployment, version))
                self.loaded = dataclasses.replace(self.loaded, version=version)
            return
        if version.digest == self._failed_digest and time.monotonic() < self._next_attempt:
            return
        try:
            loaded = await self._loading.load(deployment, version)
            await self._begin(Use.of(deployment, version))
        except _TRANSIENT as error:
            _log.warning("a version cannot be fetched now", version=str(version.name), exc_info=error)
        except Exception as error:
            self._fail(str(version.name), error)
            self._try_later(version.digest)
        else:
            self._failure, self._failed_digest = "", ""
            self._replace(loaded)
            _log.info("a version is served", deployment=str(deployment.name), version=str(version.name))

    def _fail(self, what: str, error: Exception) -> None:
        reason = error.message if isinstance(error, HeadwaterError) else "it cannot be served; the log says why."
        failure = f"{what}: {reason}"
        if failure != self._failure:
            _log.warning("a deployment fails", deployment=str(self.deployment.name), failure=failure, exc_info=error)
        self._failure = failure

    def _try_later(self, digest: str) -> None:
        # Seldom, but again: the cause may have been a full disk or too little memory.
        self._retry_s = min(self._retry_s * 2, _LAST_RETRY_S) if digest == self._failed_digest else _FIRST_RETRY_S
        self._failed_digest = digest
        self._next_attempt = time.monotonic() + self._retry_s

    def _replace(self, new: Loaded | None) -> None:
        old, self.loaded = self.loaded, new
        if old is not None:
            self._retire(old)
