"""Follows one deployment: keeps loaded what its main selector, its variants and its fallbacks stand for."""

import asyncio
import dataclasses
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence

from headwater.names import InvalidName, check_version
from services.inference.deployments.loaded import Loaded
from services.inference.deployments.loading import Loading
from services.inference.deployments.model import UNLOADED, Deployment, State, Status, Use
from services.inference.deployments.pool import Pool
from services.inference.deployments.target import Target
from services.inference.errors import ModelNotReady, VersionNotServed
from services.inference.guard.rollback import Rollbacks
from services.inference.models.source import ModelSource, Selector
from services.inference.question import Question
from services.inference.tensors.errors import shown
from services.inference.traffic.options import FALLBACK, MAIN, Routing
from services.inference.traffic.weights import Weights


@dataclasses.dataclass(frozen=True, slots=True)
class Shadow:
    """A target that gets copies, and of how many of the requests."""

    target: Target
    fraction: float


class Follower:
    """One deployment and its targets, which share what is loaded. A deployment shares nothing with another one.

    ``note`` and ``begin`` are those of Target, ``rollbacks`` those of the main one. ``retire`` gets what was loaded and
    is not any more; what it has accepted is still to be answered.
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
        rollbacks: Rollbacks | None,
    ) -> None:
        self.deployment = deployment
        self.routing = Routing()
        """How requests are shared out now."""
        self.shadows: Sequence[Shadow] = ()
        self._pool = Pool(loading, configure=self._configure, retire=retire)
        self._loading = loading
        self._new_target: Callable[[str], Target] = functools.partial(
            Target, source=source, pool=self._pool, note=note, begin=begin
        )
        self.main = Target(MAIN, source, self._pool, note=note, begin=begin, rollbacks=rollbacks)
        self._variants: Mapping[str, Target] = {}
        self._fallbacks: Sequence[Target | str] = ()
        self._selectors: Mapping[Target, Selector] = {}
        self._wanted = self.routing
        self._gone: Sequence[Target] = ()
        self._weights: Weights[Target] | None = None
        self._leaving: asyncio.Task[None] | None = None

    @property
    def loaded(self) -> Loaded | None:
        """The main version, if one is loaded."""
        return self.main.loaded

    @property
    def targets(self) -> Sequence[Target]:
        """The main one, the variants, the fallbacks of this model."""
        fallbacks = [each for each in self._fallbacks if isinstance(each, Target)]
        return [self.main, *self._variants.values(), *fallbacks]

    def target(self, name: str) -> Target | None:
        """The one of this name; None while there is none."""
        return next((target for target in self.targets if target.name == name), None)

    def versions(self) -> Sequence[Loaded]:
        """Every version that is loaded, once, the main one first."""
        main = self.main.loaded
        others = [loaded for loaded in self._pool.loaded() if loaded is not main]
        return others if main is None else [main, *others]

    @property
    def status(self) -> Status:
        """Whether the main version answers, and what any of the targets failed with."""
        if self.deployment.options.unloaded:
            return UNLOADED
        status = self.main.status
        if status.failure:
            return status
        for target in self.targets[1:]:
            if failure := target.status.failure:
                return dataclasses.replace(status, state=State.FAILED, failure=f"{target.name}: {failure}")
        for loaded in self._pool.loaded():
            if loaded.batcher.misfit:
                return dataclasses.replace(status, state=State.FAILED, failure=loaded.batcher.misfit)
        return status

    @property
    def routed(self) -> bool:
        """Whether there are others beside the main version to answer by chance or by key."""
        return self._weights is not None

    def has_stand_ins(self, target: Target) -> bool:
        """Whether somebody else may answer when ``target`` cannot."""
        return target is not self.main or bool(self._fallbacks)

    def choose(self, question: Question) -> Target:
        """Who is to answer: the version asked for, or the variant that its key or chance gives; it may not be ready.

        Raises:
            VersionNotServed: a version is asked for and nobody has loaded it.
        """
        if question.version:
            return self.of_version(question.version)
        if self._weights is None:
            return self.main
        key = question.routing_key or (question.caller if self.routing.sticky_by_caller else "")
        return self._weights.of(key) if key else self._weights.any()

    def of_version(self, version: str) -> Target:
        """Who answers with this version, whatever it is loaded for; raises VersionNotServed, ModelNotReady."""
        numbers: dict[str, Target] = {}
        for target in self.targets:
            if target.loaded is not None:
                numbers.setdefault(target.loaded.version_number, target)
        if not numbers:
            raise self.not_ready()
        if version not in numbers:
            served = ", ".join(numbers)
            raise VersionNotServed(
                _malformed(version, served), served=served, version=version, model=self.deployment.served_name
            )
        return numbers[version]

    def stand_ins(self) -> Sequence[Target | str]:
        """Who answers when the one chosen cannot, in this order; a text is the name of another deployment."""
        return [self.main, *self._fallbacks]

    def name_of(self, target: Target) -> str:
        """What answers say of who gave them: the variant's name or, of another deployment, that one's."""
        loaded = target.loaded
        if target is not self.main and loaded is not None and loaded.deployment.uid != self.deployment.uid:
            return f"deployment:{loaded.deployment.served_name}"
        return target.name

    def not_ready(self) -> ModelNotReady:
        """The error for who asks while nothing can answer."""
        status = self.status
        why = {"why": status.why} if status.why else {}
        return ModelNotReady(model=self.deployment.served_name, state=status.state.name, **why, retry_after_ms=1000)

    def step(self, deployment: Deployment, routing: Routing) -> None:
        """Look for changes once more, with both as they are now; does not wait for what comes of it."""
        self.deployment, self._wanted = deployment, routing
        if deployment.options.unloaded:
            self.stop()
            return
        for loaded in self._pool.loaded():
            self._configure(loaded)
            loaded.batcher.stop_overdue()
        self.main.step(deployment, deployment.selector, then=self._catch_up)
        self._share_out()

    def forget_failures(self) -> None:
        """Let the next :meth:`step` try again at once what has failed."""
        for target in self.targets:
            target.forget_failure()

    async def settle(self) -> None:
        """Wait for what the last :meth:`step` has started."""
        await self.main.settle()
        for target in self.targets[1:]:
            await target.settle()
        if self._leaving is not None:
            await asyncio.wait([self._leaving])

    def stop(self) -> None:
        """Serve nothing any more."""
        for target in [*self.targets, *self._gone]:
            target.stop()
        self._gone = ()

    def _configure(self, loaded: Loaded) -> None:
        """Let it answer as the deployment says now."""
        options = self.deployment.options
        loaded.batcher.limits = self._loading.limits(options.batching)
        loaded.prepare_by(options)
        loaded.record_by(options.recording)
        loaded.watch.configure(options.guard)
        loaded.cache.configure(options.cache)

    def _share_out(self) -> None:
        """Route as is wanted. Where the main selector changes with the routing, first the one and then the other: who
        promotes a variant is not to be answered by the version before in between."""
        main_moves = self.main.loaded is not None and self.main.at != self.deployment.selector
        if main_moves and not self.main.status.failure and self._wanted != self.routing:
            return
        if self._wanted != self.routing:
            self._change_targets(self._wanted)
        for target, selector in self._selectors.items():
            target.step(self.deployment, selector)

    def _catch_up(self) -> None:
        if self._wanted != self.routing:
            self._share_out()

    def _change_targets(self, routing: Routing) -> None:
        before = self.targets[1:]
        kept = {target.name: target for target in before}
        variants = {each.name: kept.get(each.name) or self._new_target(each.name) for each in routing.variants}
        fallbacks: list[Target | str] = []
        self._selectors = {variants[each.name]: each.selector for each in routing.variants}
        for position, each in enumerate(routing.fallbacks, 1):
            if each.selector is None:
                fallbacks.append(each.deployment)
                continue
            name = f"{FALLBACK}-{position}"
            fallbacks.append(target := kept.get(name) or self._new_target(name))
            self._selectors[target] = each.selector
        self.routing, self._variants, self._fallbacks = routing, variants, fallbacks
        self.shadows = [Shadow(variants[each.name], each.weight_percent / 100) for each in routing.shadows]
        shares = {each.name: (variants[each.name], each.weight_percent) for each in routing.live}
        shares[MAIN] = self.main, routing.main_percent
        self._weights = Weights(shares, self.deployment.uid) if routing.live else None
        now = self.targets
        self._gone = [*self._gone, *(target for target in before if target not in now)]
        if self._gone and (self._leaving is None or self._leaving.done()):
            self._leaving = asyncio.create_task(self._leave(), name=f"leave {self.deployment.name}")

    async def _leave(self) -> None:
        """Stop what is routed to no longer once the others have what they need, which may be the same versions."""
        for target in self.targets:
            await target.settle()
        gone, self._gone = self._gone, ()
        for target in gone:
            target.stop()


def _malformed(version: str, served: str) -> str:
    """What is wrong with a version that cannot be one, in Triton's words, since programs look for them; else empty."""
    try:
        check_version(version)
    except InvalidName:
        said = shown(version)
        return f"failed to get model version from specified version string {said} (served={served})."
    return ""
