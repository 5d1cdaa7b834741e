"""Follows one deployment: resolves its selector and keeps the version that it stands for loaded."""

import asyncio
import dataclasses
import time
from collections.abc import Callable

import structlog

from headwater.errors import HeadwaterError, Unavailable
from services.inference.deployments.loaded import Loaded
from services.inference.deployments.loading import Loading
from services.inference.deployments.model import WAITING, Deployment, State, Status
from services.inference.models.source import ModelSource, ModelVersion, NoSuchVersion

_FIRST_RETRY_S, _LAST_RETRY_S = 2.0, 60.0

_log = structlog.get_logger("inference.deployments")


class Follower:
    """One deployment, what is loaded for it, and how far the last attempt came.

    ``retire`` gets what was loaded and is not any more; what it has accepted is still to be answered.
    """

    def __init__(
        self, deployment: Deployment, source: ModelSource, loading: Loading, retire: Callable[[Loaded], None]
    ) -> None:
        self.deployment = deployment
        self.loaded: Loaded | None = None
        self.source_failure = ""
        """Why the source could not be asked the last time; empty if it could."""
        self._source = source
        self._loading = loading
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
        return Status(state, str(version.name), version.digest, self._failure)

    def step(self, deployment: Deployment) -> None:
        """Look for changes once more, with ``deployment`` as it is configured now; does not wait for what comes."""
        self.deployment = deployment
        if self.loaded is not None:
            self.loaded.batcher.limits = self._loading.limits(deployment.batching)
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
            version = await self._source.resolve(deployment.model, deployment.selector)
            self.source_failure = ""
            await self._serve(deployment, version)
        except NoSuchVersion:
            # The source has spoken: what was taken out of its stage is not to be served any longer.
            self.source_failure = self._failure = ""
            self._replace(None)
        except Unavailable as error:
            self.source_failure = error.reason
        except Exception as error:
            self.source_failure = "INTERNAL"
            _log.error("a deployment cannot be followed", deployment=str(deployment.name), exc_info=error)

    async def _serve(self, deployment: Deployment, version: ModelVersion) -> None:
        if self.loaded is not None and self.loaded.version.digest == version.digest:
            self._failure = ""
            if self.loaded.version.name != version.name:  # the same files under another number need no other engine
                self.loaded = dataclasses.replace(self.loaded, version=version)
            return
        if version.digest == self._failed_digest and time.monotonic() < self._next_attempt:
            return
        try:
            loaded = await self._loading.load(deployment, version)
        except Unavailable:
            raise
        except Exception as error:
            self._note_failure(version, error)
            return
        self._failure, self._failed_digest, self._retry_s = "", "", _FIRST_RETRY_S
        self._replace(loaded)
        _log.info("a version is served", deployment=str(deployment.name), version=str(version.name))

    def _note_failure(self, version: ModelVersion, error: Exception) -> None:
        _log.warning("a version cannot be loaded", version=str(version.name), exc_info=error)
        reason = error.message if isinstance(error, HeadwaterError) else "It cannot be loaded; the log says why."
        self._failure = f"{version.name}: {reason}"
        # It is tried again, but seldom: the cause may have been a full disk or too little memory.
        if version.digest != self._failed_digest:
            self._failed_digest, self._retry_s = version.digest, _FIRST_RETRY_S
        self._next_attempt = time.monotonic() + self._retry_s
        self._retry_s = min(self._retry_s * 2, _LAST_RETRY_S)

    def _replace(self, new: Loaded | None) -> None:
        old, self.loaded = self.loaded, new
        if old is not None:
            self._retire(old)
