"""The use cases of an experiment's life: another name, out of use, back into use (M-04…M-09). Nothing is deleted."""

from collections.abc import Mapping
from typing import Any

from chassis.clock import Clock
from chassis.etags import check, etag_of
from headwater.names import ExperimentName
from services.registry.events import event
from services.registry.experiments.errors import DefaultExperiment, ExperimentNotFound, InvalidReplacement
from services.registry.experiments.experiments import check_in_use, check_name
from services.registry.experiments.model import Experiment
from services.registry.origin import Origin
from services.registry.states import State, check_transition
from services.registry.store import Store, Transaction


class Lifecycle:
    """Renames, deprecates, archives and reactivates experiments.

    Every change raises ExperimentNotFound, and EtagMismatch when the experiment has changed since the caller read it.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def rename(self, name: ExperimentName, segment: str, etag: str, origin: Origin) -> Experiment:
        """Give an experiment another name; the old one is free again.

        Raises:
            DefaultExperiment
            ExperimentArchived: it has no name until it is reactivated.
            ExperimentAlreadyExists: the name is taken, whatever its case.
            InvalidName: it looks like a uid.
        """
        check_name(ExperimentName(name.project, segment))
        async with self._store.transaction() as tx:
            experiment = await _locked(tx, name, etag)
            check_in_use(experiment)
            if experiment.is_default and segment != experiment.experiment:
                raise DefaultExperiment(experiment=name)
            return await self._change(tx, experiment, "experiment.rename", {"experiment": segment}, origin)

    async def deprecate(
        self, name: ExperimentName, replacement: ExperimentName | None, etag: str, origin: Origin
    ) -> Experiment:
        """Warn who uses an experiment from now on, and say what to use instead.

        Raises:
            TransitionNotAllowed: it is archived.
            InvalidReplacement: that is not there, archived, or this experiment.
        """
        async with self._store.transaction() as tx:
            experiment = await _locked(tx, name, etag)
            check_transition(experiment.name, experiment.state, State.DEPRECATED)
            said = await _replacement(tx, experiment, replacement) if replacement else ""
            changes = {"state": State.DEPRECATED, "replacement": said}
            return await self._change(tx, experiment, "experiment.deprecate", changes, origin)

    async def archive(self, name: ExperimentName, etag: str, origin: Origin) -> Experiment:
        """Take an experiment out of use: its names are free, it is found by its uid, and it gets no more runs.

        Raises:
            DefaultExperiment
            TransitionNotAllowed: it is archived already.
        """
        async with self._store.transaction() as tx:
            experiment = await _locked(tx, name, etag)
            check_transition(experiment.name, experiment.state, State.ARCHIVED)
            if experiment.is_default:
                raise DefaultExperiment(experiment=name)
            changes = {
                "state": State.ARCHIVED,
                "replacement": "",
                "experiment": experiment.id,
                "archived_name": experiment.experiment,
            }
            return await self._change(tx, experiment, "experiment.archive", changes, origin)

    async def reactivate(self, name: ExperimentName, etag: str, origin: Origin) -> Experiment:
        """Put an experiment back into use, under the name that it had.

        Raises:
            TransitionNotAllowed: it is in use.
            ExperimentAlreadyExists: one of its names was given to another.
        """
        async with self._store.transaction() as tx:
            experiment = await _locked(tx, name, etag)
            check_transition(experiment.name, experiment.state, State.ACTIVE)
            segment = experiment.archived_name or experiment.experiment
            changes = {"state": State.ACTIVE, "replacement": "", "experiment": segment, "archived_name": ""}
            return await self._change(tx, experiment, "experiment.reactivate", changes, origin)

    async def _change(
        self, tx: Transaction, experiment: Experiment, kind: str, changes: Mapping[str, Any], origin: Origin
    ) -> Experiment:
        if all(getattr(experiment, field) == value for field, value in changes.items()):
            return experiment
        now = self._clock.now()
        changed = experiment.changed(now, **changes)
        await tx.experiments.update(changed, experiment.name)
        if changed.name != experiment.name:
            await tx.runs.rename_references(str(experiment.name), str(changed.name))
        await tx.events.append(event(origin.actor, kind, experiment.name, experiment, changed, now))
        return changed


async def _locked(tx: Transaction, name: ExperimentName, etag: str) -> Experiment:
    experiment = await tx.experiments.get(name, lock=True)
    check(etag, etag_of(experiment.revision))
    return experiment


async def _replacement(tx: Transaction, experiment: Experiment, name: ExperimentName) -> str:
    try:
        replacement = await tx.experiments.get(name)
    except ExperimentNotFound as error:
        raise InvalidReplacement(f"There is no {name} to be used instead.", replacement=name) from error
    if replacement.id == experiment.id or replacement.state is State.ARCHIVED:
        raise InvalidReplacement(f"{name} cannot be used instead.", replacement=name)
    return str(replacement.name)
