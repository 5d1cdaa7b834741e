"""Goes back to the last version that served well, when the one that a stage or an alias chose keeps failing.

A version is good when it came through its probation, or had answered and was not failing when another took its place.
Which ones were good is kept, as is what is set aside: a restarted process serves what was served before. Of several
replicas the first that keeps its decision has decided, and the others follow. What was set aside stays so until the
selector chooses another version or an operator says otherwise.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import structlog

from chassis.clock import Clock
from headwater.errors import Aborted, FailedPrecondition, NotFound
from services.inference.deployments.errors import DeploymentArchived, InvalidDeployment
from services.inference.deployments.loaded import Loaded
from services.inference.deployments.model import Deployment
from services.inference.guard.errors import NothingToGoBackTo
from services.inference.guard.evidence import incident_of, incident_unseen
from services.inference.guard.judgement import why_to_go_back
from services.inference.guard.standing import GoodVersion, SetAside, Standing, StandingStore
from services.inference.incidents.log import IncidentLog
from services.inference.incidents.model import ITSELF, Kind, State, Version
from services.inference.models.source import ModelSource, ModelVersion, NoSuchVersion, Selector, SelectorKind, missing

_SURE = 2  # a selector has chosen anew when it did so twice: the first answer may be from before another replica acted

_log = structlog.get_logger("inference.rollback")


class Rollbacks:
    """What is set aside, and the decisions about it. Used in one event loop; ``wake`` lets serving look at once."""

    def __init__(
        self,
        store: StandingStore,
        source: ModelSource,
        incidents: IncidentLog,
        clock: Clock,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.wake = wake
        self._store = store
        self._source = source
        self._incidents = incidents
        self._clock = clock
        self._standings: Mapping[str, Standing] = {}
        self._main: dict[str, Loaded] = {}
        self._replaced: dict[str, list[Loaded]] = {}
        self._others_chosen: dict[str, int] = {}

    async def refresh(self, uids: Sequence[str]) -> None:
        """Read what is known of these deployments; to be called before their versions are looked for."""
        self._learn(await self._store.all(uids))
        served = set(uids)
        self._standings = {uid: standing for uid, standing in self._standings.items() if uid in served}
        for uid in {*self._main, *self._replaced, *self._others_chosen} - served:
            for known in (self._main, self._replaced, self._others_chosen):
                known.pop(uid, None)

    def instead_of(self, deployment: Deployment, version: ModelVersion) -> SetAside | None:
        """What is to be served and not ``version``, which the deployment's selector has chosen; None to serve it."""
        aside = self._standing(deployment).set_aside
        if aside is None or (aside.selector, aside.content) == (str(deployment.selector), version.content):
            self._others_chosen.pop(deployment.uid, None)
            return aside
        self._others_chosen[deployment.uid] = self._others_chosen.get(deployment.uid, 0) + 1
        return None

    def replaced(self, loaded: Loaded) -> None:
        """Another version has taken the place of ``loaded`` as a deployment's main one."""
        self._replaced.setdefault(loaded.deployment.uid, []).append(loaded)

    async def judge(self, deployment: Deployment, loaded: Loaded | None) -> None:
        """Look at what the main version of a deployment does, and decide. To be called from time to time."""
        aside = self._standing(deployment).set_aside
        if aside is not None and self._others_chosen.get(deployment.uid, 0) >= _SURE:
            await self._end(deployment, aside, "the selector chose another version", ITSELF)
        if loaded is None:
            self._main.pop(deployment.uid, None)
            return
        if loaded.watch.begun is None:
            loaded.watch.begun = self._clock.monotonic()
        self._main[deployment.uid] = loaded
        replaced = self._replaced.get(deployment.uid, [])
        while replaced:  # what cannot be kept now is tried again
            if replaced[0].version.content != loaded.version.content and replaced[0].requests.succeeded:
                await self._served_well(deployment, replaced[0])
            del replaced[0]
        now, guarding = self._clock.monotonic(), deployment.options.guard
        if now - loaded.watch.begun >= guarding.rollback.probation_s and loaded.requests.succeeded:
            await self._served_well(deployment, loaded)
        follows = deployment.selector.kind is not SelectorKind.VERSION
        if not follows or not guarding.rollback.enabled or self._standing(deployment).set_aside is not None:
            return
        if reason := why_to_go_back(loaded.watch, guarding, now):
            await self._go_back(deployment, loaded, reason)

    async def roll_back(self, deployment: Deployment, number: str, reason: str, actor: str) -> None:
        """Let an operator set aside what the selector chooses now, and serve version ``number``, or else the last good
        one. To ask for what is so already changes nothing.

        Raises:
            NothingToGoBackTo: no version is given and none is known.
            InvalidDeployment: the version given is what the selector chooses.
            NoSuchVersion, UnsafeModel, VersionArchived: the version given cannot be served.
            DeploymentArchived, Aborted
        """
        if deployment.archive_time is not None:
            raise DeploymentArchived(deployment=deployment.name)
        chosen = await self._source.resolve(deployment.source, deployment.selector)
        standing = await self._read(deployment)
        if number:
            earlier = Selector(SelectorKind.VERSION, number)
            try:
                version = await self._source.resolve(deployment.source, earlier)
            except NoSuchVersion as error:
                raise NoSuchVersion(missing(deployment.model, earlier), model=deployment.model) from error
            version.check_usable()
            if version.content == chosen.content:
                raise InvalidDeployment("This version is what the deployment's selector chooses.", field="version")
            instead = GoodVersion.of(version)
        else:
            found = await self._usable(deployment, standing, chosen)
            if found is None:
                raise NothingToGoBackTo(deployment=deployment.name)
            instead = found
        aside = standing.set_aside
        wanted = str(deployment.selector), chosen.content, instead
        if aside is not None and (aside.selector, aside.content, aside.instead) == wanted:
            return
        if aside is not None:
            self._incidents.note(aside.incident, f"another version is served: {instead.number}", State.RECOVERED)
        if not await self._set_aside(deployment, standing, chosen, instead, reason, actor):
            raise Aborted(deployment=deployment.name)

    async def resume(self, deployment: Deployment, actor: str) -> None:
        """Let an operator serve again what the selector chooses. Where nothing is set aside, nothing changes.

        Raises:
            Aborted: another replica has decided something else in this moment.
        """
        aside = (await self._read(deployment)).set_aside
        if aside is not None and not await self._end(deployment, aside, "the selector is followed again", actor):
            raise Aborted(deployment=deployment.name)

    async def _go_back(self, deployment: Deployment, loaded: Loaded, reason: str) -> None:
        standing = self._standing(deployment)
        instead = await self._usable(deployment, standing, loaded.version)
        if instead is not None:
            await self._set_aside(deployment, standing, loaded.version, instead, reason, ITSELF)
        elif not loaded.watch.has_no_way_back:
            loaded.watch.has_no_way_back = True
            text = f"no earlier version is known to go back to, though {reason}"
            _log.warning("a deployment cannot go back", deployment=str(deployment.name), reason=text)
            if loaded.watch.incident is not None:
                self._incidents.note(loaded.watch.incident, text)

    async def _set_aside(
        self,
        deployment: Deployment,
        standing: Standing,
        chosen: ModelVersion,
        instead: GoodVersion,
        reason: str,
        actor: str,
    ) -> bool:
        good = Version("good", f"{deployment.model}/versions/{instead.number}", instead.digest)
        loaded = self._main.get(deployment.uid)
        if loaded is not None and loaded.version.content == chosen.content:
            incident = incident_of(Kind.ROLLED_BACK, reason, loaded, self._clock, good)
        else:
            loaded = None
            incident = incident_unseen(Kind.ROLLED_BACK, reason, deployment, chosen, self._clock, good)
        incident = dataclasses.replace(incident, timeline=(dataclasses.replace(incident.timeline[0], actor=actor),))
        aside = SetAside(
            str(deployment.selector),
            chosen.content,
            chosen.name.version,
            instead,
            incident.reason,
            actor,
            self._clock.now(),
            incident.name,
        )
        if not await self._keep(dataclasses.replace(standing, set_aside=aside, is_unread=False)):
            return False  # another replica was first
        self._incidents.begin(incident)
        if loaded is not None and loaded.watch.incident is not None:
            self._incidents.note(loaded.watch.incident, f"version {instead.number} is served from now on", actor=actor)
        self.wake()
        return True

    async def _end(self, deployment: Deployment, aside: SetAside, what: str, actor: str) -> bool:
        if not await self._keep(dataclasses.replace(self._standing(deployment), set_aside=None)):
            return False
        self._others_chosen.pop(deployment.uid, None)
        self._incidents.note(aside.incident, what, State.RECOVERED, actor=actor)
        self.wake()
        return True

    async def _served_well(self, deployment: Deployment, loaded: Loaded) -> None:
        standing = self._standing(deployment)
        if standing.is_unread:
            return  # what a replica of a later release has kept, perhaps that a version is set aside, is worth more
        version = GoodVersion.of(loaded.version)
        set_aside = standing.set_aside is not None and standing.set_aside.content == version.content
        if loaded.watch.breaker.failing_since is not None or set_aside or standing.good[:1] == (version,):
            return
        await self._keep(standing.with_good(version))

    async def _usable(self, deployment: Deployment, standing: Standing, chosen: ModelVersion) -> GoodVersion | None:
        """The last good version that answers otherwise than ``chosen`` and still can be served."""
        for good in standing.good:
            if good.content == chosen.content:
                continue
            try:
                version = await self._source.resolve(deployment.source, Selector(SelectorKind.VERSION, good.number))
                version.check_usable()
            except (NotFound, FailedPrecondition):
                continue
            if version.content == good.content:
                return good
        return None

    def _standing(self, deployment: Deployment) -> Standing:
        return self._standings.get(deployment.uid) or Standing(deployment.uid)

    async def _read(self, deployment: Deployment) -> Standing:
        self._learn(await self._store.all([deployment.uid]))
        return self._standing(deployment)

    async def _keep(self, standing: Standing) -> bool:
        kept = await self._store.replace(standing)
        self._learn(await self._store.all([standing.uid]))
        return kept

    def _learn(self, read: Mapping[str, Standing]) -> None:
        """Go by what was read, unless something later is known: what is read first may arrive last."""
        known = self._standings
        newer = {uid: each for uid, each in read.items() if uid not in known or each.revision >= known[uid].revision}
        self._standings = {**known, **newer}
