"""The use cases of what changes of a run: what is said of it, its tags, whether it goes on and is in use."""

from collections.abc import Collection, Mapping
from typing import Any

from chassis.clock import Clock
from chassis.etags import check, etag_of
from headwater.names import ExperimentName, RunName
from services.registry.events import event
from services.registry.experiments.experiments import check_in_use
from services.registry.origin import Origin
from services.registry.runs.errors import RunArchived, RunExecuted
from services.registry.runs.model import Lifecycle, Run, RunState
from services.registry.runs.tags import merged_tags
from services.registry.store import Store, Transaction


class RunChanges:
    """Describes, tags, resumes, archives and reactivates runs. Every change raises RunNotFound."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def describe(self, name: RunName, values: Mapping[str, Any], etag: str, origin: Origin) -> Run:
        """Change what is said of a run: ``values`` by field of Run. Where all stays the same, nothing changes.

        Raises:
            ExperimentNotFound, ExperimentArchived: the run cannot be put into that experiment.
            TooManyTags
            EtagMismatch: the run has changed since the caller read it.
        """
        async with self._store.transaction() as tx:
            run = await tx.runs.get(name, lock=True)
            check(etag, etag_of(run.revision))
            changes = dict(values)
            if "experiment" in values:
                changes |= await _experiment(tx, run, values["experiment"])
            if "tags" in values:
                changes["tags"] = merged_tags({}, values["tags"])
            return await self._change(tx, run, "run.update", changes, origin)

    async def tag(
        self, name: RunName, new: Mapping[str, str], removed: Collection[str], origin: Origin
    ) -> Mapping[str, str]:
        """Set some tags and remove others; the rest stay. Returns all that there are then.

        Raises:
            TooManyTags
        """
        async with self._store.transaction() as tx:
            run = await tx.runs.get(name, lock=True)
            changes = {"tags": merged_tags(run.tags, new, removed)}
            return (await self._change(tx, run, "run.tag", changes, origin)).tags

    async def resume(self, name: RunName, origin: Origin) -> Run:
        """Take up logging again in a run that has ended, or begin one that is scheduled.

        Raises:
            RunExecuted: a job executed it, and it cannot execute again (M-29).
            RunArchived
        """
        async with self._store.transaction() as tx:
            run = await tx.runs.get(name, lock=True)
            if run.lifecycle is Lifecycle.ARCHIVED:
                raise RunArchived(run=name)
            if run.state is RunState.RUNNING:
                return run
            if run.job and run.state is not RunState.SCHEDULED:
                raise RunExecuted(run=name, job=run.job)
            changes: dict[str, Any] = {"state": RunState.RUNNING, "end_time": None, "failure": ""}
            if run.state is RunState.SCHEDULED:
                changes["start_time"] = self._clock.now()
            return await self._change(tx, run, "run.resume", changes, origin)

    async def archive(self, name: RunName, origin: Origin) -> Run:
        """Take a run out of default lists; archiving it again changes nothing."""
        return await self._set_lifecycle(name, Lifecycle.ARCHIVED, "run.archive", origin)

    async def reactivate(self, name: RunName, origin: Origin) -> Run:
        """Put a run back into default lists; where it is in use already, nothing changes."""
        return await self._set_lifecycle(name, Lifecycle.ACTIVE, "run.reactivate", origin)

    async def _set_lifecycle(self, name: RunName, lifecycle: Lifecycle, kind: str, origin: Origin) -> Run:
        async with self._store.transaction() as tx:
            run = await tx.runs.get(name, lock=True)
            return await self._change(tx, run, kind, {"lifecycle": lifecycle}, origin)

    async def _change(self, tx: Transaction, run: Run, kind: str, changes: Mapping[str, Any], origin: Origin) -> Run:
        if all(getattr(run, field) == value for field, value in changes.items()):
            return run
        now = self._clock.now()
        changed = run.changed(now, **changes)
        await tx.runs.update(changed)
        await tx.events.append(event(origin.actor, kind, run.name, run, changed, now))
        return changed


async def _experiment(tx: Transaction, run: Run, name: ExperimentName) -> Mapping[str, str]:
    experiment = await tx.experiments.get(name, settled=True)
    if experiment.id != run.experiment_id:
        check_in_use(experiment)
    return {"experiment": str(experiment.name), "experiment_id": experiment.id}
