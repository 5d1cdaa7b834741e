"""Follows one selector of a deployment, and keeps the version that it stands for loaded."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from headwater.errors import DeadlineExceeded, FailedPrecondition, HeadwaterError, ResourceExhausted, Unavailable
from headwater.parity import ParityMismatch
from services.inference.deployments.loaded import Loaded
from services.inference.deployments.model import Deployment, State, Status, Use
from services.inference.deployments.pool import Held, Pool
from services.inference.engines.engine import EngineTimedOut
from services.inference.guard.rollback import Rollbacks
from services.inference.guard.standing import SetAside
from services.inference.models.source import ModelSource, ModelVersion, NoSuchVersion, Selector, SelectorKind, missing
from services.inference.texts import storable

_TRANSIENT = (Unavailable, DeadlineExceeded)
_FIRST_RETRY_S, _LAST_RETRY_S = 2.0, 60.0

_log = structlog.get_logger("inference.deployments")


class Target:
    """One selector, what is loaded for it, and how far the last attempt came. ``name`` is that of its variant.

    ``note`` gets the deployment when its model was found for the first time, or under another name. ``begin`` gets what
    is about to be served: no answer is given by a version of which that was not kept. ``rollbacks`` knows whether
    the version that was chosen is set aside, and learns which one was served before another.
    """

    def __init__(
        self,
        name: str,
        source: ModelSource,
        pool: Pool,
        *,
        note: Callable[[Deployment], Awaitable[None]],
        begin: Callable[[Use], Awaitable[None]],
        rollbacks: Rollbacks | None = None,
    ) -> None:
        self.name = name
        self.at: Selector | None = None
        """What the version that is loaded was found by."""
        self._source = source
        self._pool = pool
        self._note = note
        self._begin = begin
        self._rollbacks = rollbacks
        self._aside: SetAside | None = None
        self._held: Held | None = None
        self._failure = ""
        self._waits_for = ""
        self._error: Exception | None = None
        self._failed_digest = ""
        self._retry_s = _FIRST_RETRY_S
        self._next_attempt = 0.0
        self._task: asyncio.Task[None] | None = None

    @property
    def loaded(self) -> Loaded | None:
        """What answers; None for nothing."""
        return None if self._held is None else self._held.loaded

    @property
    def answers(self) -> bool:
        """Whether a question would be taken."""
        loaded = self.loaded
        return loaded is not None and loaded.batcher.answers

    @property
    def status(self) -> Status:
        """Whether it answers, and with which version."""
        if self.loaded is None:
            if self._failure:
                return Status(State.FAILED, failure=self._failure)
            return Status(State.WAITING, waits_for=self._waits_for)
        version = self.loaded.version
        state, failure = State.FAILED if self._failure else State.READY, self._failure
        if not failure and self._aside is not None and version.content == self._aside.instead.content:
            state = State.ROLLED_BACK
            failure = f"Version {self._aside.number} is set aside by {self._aside.actor}: {self._aside.reason}"
        return Status(state, str(version.name), version.digest, failure, version.warning)

    @property
    def mismatch(self) -> ParityMismatch | None:
        """Why nothing is loaded, where that is the parity record of the version; None for any other reason."""
        found = self._error if self._failure and self.loaded is None else None
        return found if isinstance(found, ParityMismatch) else None

    def step(self, deployment: Deployment, selector: Selector, then: Callable[[], None] | None = None) -> None:
        """Look for changes once more, with both as they are configured now; does not wait for what comes, but calls
        ``then``."""
        if self._task is not None and not self._task.done():
            return
        self._task = asyncio.create_task(self._advance(deployment, selector, then), name=f"follow {deployment.name}")

    async def settle(self) -> None:
        """Wait for what the last :meth:`step` has started."""
        if self._task is not None:
            await asyncio.wait([self._task])

    def forget_failure(self) -> None:
        """Let the next :meth:`step` try again at once what has failed."""
        self._failure = self._failed_digest = ""

    def stop(self) -> None:
        """Serve nothing any more."""
        if self._task is not None:
            self._task.cancel()
        self._replace(None)

    async def _advance(self, deployment: Deployment, selector: Selector, then: Callable[[], None] | None) -> None:
        await self._follow(deployment, selector)
        if then is not None:
            then()

    async def _follow(self, deployment: Deployment, selector: Selector) -> None:
        try:
            version = await self._choose(deployment, selector)
            following = deployment.following(version)
            if following != deployment:
                await self._note(following)
        except NoSuchVersion:
            # The source has spoken: what was taken out of its stage is not to be served any longer.
            self._failure, self._waits_for = "", missing(deployment.model, selector)
            self._replace(None)
        except (*_TRANSIENT, ResourceExhausted) as error:
            # What is loaded goes on answering, and readiness tells of it.
            self._waits_for = "The models cannot be asked now."
            _log.debug("the models cannot be asked", deployment=str(deployment.name), exc_info=error)
        except Exception as error:
            self._fail(deployment, str(deployment.model), error)
        else:
            if await self._serve(following, version):
                self.at = selector

    async def _choose(self, deployment: Deployment, selector: Selector) -> ModelVersion:
        """What the selector stands for or, where that is set aside, the version to serve instead, if it is there."""
        version = await self._source.resolve(deployment.source, selector)
        self._aside = self._rollbacks.instead_of(deployment, version) if self._rollbacks else None
        if self._aside is None:
            return version
        try:
            earlier = Selector(SelectorKind.VERSION, self._aside.instead.number)
            return await self._source.resolve(deployment.source, earlier)
        except NoSuchVersion:
            return version

    async def _serve(self, deployment: Deployment, version: ModelVersion) -> bool:
        """Whether ``version`` is loaded now."""
        serving = self.loaded
        if serving is None or not serving.version.is_same(version):  # what is served already goes on
            try:
                version.check_usable()
            except FailedPrecondition as error:
                self._fail(deployment, str(deployment.model), error)
                return False
        if serving is not None and serving.version == version and self._pool.computes(serving, deployment):
            self._failure = ""
            return True
        attempt = f"{version.content} {deployment.options.engine}"
        if attempt == self._failed_digest and time.monotonic() < self._next_attempt:
            return False
        self._waits_for = f"{version.name} is being loaded."
        try:
            held = await self._hold(deployment, version)
        except Exception as error:
            if isinstance(error, _TRANSIENT) and not isinstance(error, EngineTimedOut):  # its own doing
                self._waits_for = f"{version.name} cannot be fetched now; it is tried again."
                _log.warning("a version cannot be fetched now", version=str(version.name), exc_info=error)
                return False
            self._fail(deployment, str(version.name), error)
            self._try_later(attempt)
            return False
        self._failure, self._failed_digest = "", ""
        if held is not None:
            self._replace(held)
        _log.info("a version is served", deployment=str(deployment.name), version=str(version.name), variant=self.name)
        return True

    async def _hold(self, deployment: Deployment, version: ModelVersion) -> Held | None:
        """``version``, to be put in place; None if what is in place stands for it by now."""
        use = Use.of(deployment, version)
        if (
            self.loaded is not None
            and self.loaded.version.content == version.content
            and self._pool.computes(self.loaded, deployment)
        ):
            await self._begin(use)  # the same files under another number need no other engine
            if self._held is not None and self._pool.renew(self._held, version):
                return None
        held = await self._pool.take(deployment, version)
        try:
            await self._begin(use)
        except BaseException:
            self._pool.release(held)
            raise
        return held

    def _fail(self, deployment: Deployment, what: str, error: Exception) -> None:
        reason = error.message if isinstance(error, HeadwaterError) else "it cannot be served; the log says why."
        # Of what a file holds, a message may cite text that gRPC does not take, or no database: then the deployment
        # could not be shown.
        failure = storable(f"{what}: {reason}")
        if failure != self._failure:
            _log.warning("a deployment fails", deployment=str(deployment.name), failure=failure, exc_info=error)
        self._failure, self._error = failure, error

    def _try_later(self, digest: str) -> None:
        # Seldom, but again: the cause may have been a full disk or too little memory.
        self._retry_s = min(self._retry_s * 2, _LAST_RETRY_S) if digest == self._failed_digest else _FIRST_RETRY_S
        self._failed_digest = digest
        self._next_attempt = time.monotonic() + self._retry_s

    def _replace(self, new: Held | None) -> None:
        old, self._held = self._held, new
        if old is None:
            return
        if self._rollbacks is not None and old.loaded is not None and new is not None:
            self._rollbacks.replaced(old.loaded)
        self._pool.release(old)
