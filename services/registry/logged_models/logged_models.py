"""The use cases of logged models."""

import dataclasses
from collections.abc import Mapping, Sequence

from chassis.clock import Clock
from chassis.ids import new_id
from chassis.paging import Page, page_size, query_digest
from headwater.names import ArtifactName, ExperimentName, LoggedModelName, ProjectName, RunName
from services.registry.artifacts.errors import ArtifactNotFound
from services.registry.events import event
from services.registry.experiments.model import DEFAULT, Experiment
from services.registry.logged_models.errors import (
    LoggedModelArchived,
    LoggedModelFinished,
    LoggedValueConflict,
    TooManyEntries,
)
from services.registry.logged_models.model import (
    MAX_ENTRIES,
    Additions,
    LoggedModel,
    LoggedModelState,
    NewLoggedModel,
)
from services.registry.logged_models.searching import FIELDS, Search, Wanted
from services.registry.origin import Origin, once
from services.registry.pages import fitting, read_by_weight, weight_of
from services.registry.projects.use import project_in_use
from services.registry.search.filters import parse_filter
from services.registry.search.orders import parse_order
from services.registry.search.pages import Position, decode, page_of_found
from services.registry.store import Store, Transaction


class LoggedModels:
    """Creates, finds and completes logged models."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(self, parent: ProjectName, new: NewLoggedModel, origin: Origin) -> LoggedModel:
        """Create a logged model, which is PENDING; its experiment is that of its run where none is given.

        Raises:
            ProjectNotFound, ProjectArchived, RunNotFound, ExperimentNotFound
            TooManyEntries
            RequestIdReused: the request id came before with another body.
        """
        async with self._store.transaction() as tx:

            async def add() -> str:
                project = await project_in_use(tx, parent.project)
                experiment, now = await _experiment(tx, parent, new), self._clock.now()
                logged = LoggedModel(
                    id=new_id(),
                    project=project.name,
                    project_id=project.id,
                    display_name=new.display_name,
                    experiment=str(experiment.name),
                    experiment_id=experiment.id,
                    run=new.run,
                    model_type=new.model_type,
                    parameters=_bounded(new.parameters),
                    tags=_bounded(new.tags),
                    create_time=now,
                    created_by=origin.actor,
                    update_time=now,
                )
                await tx.logged_models.add(logged)
                await tx.events.append(event(origin.actor, "logged_model.create", logged.name, None, logged, now))
                return str(logged.name)

            return await tx.logged_models.get(LoggedModelName.parse(await once(tx, origin, add)))

    async def get(self, name: LoggedModelName) -> LoggedModel:
        """The logged model, or raise LoggedModelNotFound."""
        async with self._store.transaction() as tx:
            return await tx.logged_models.get(name)

    async def page(self, parent: ProjectName, wanted: Wanted, size: int, token: str) -> Page[LoggedModel]:
        """Logged models of a project, newest first or in the order asked for.

        Raises:
            ProjectNotFound, ExperimentNotFound
            InvalidFilter, InvalidOrder
        """
        condition, order = parse_filter(wanted.filter, FIELDS), parse_order(wanted.order_by, FIELDS)
        size, query = page_size(size), query_digest("logged_models", parent, wanted)
        async with self._store.transaction() as tx:
            await tx.projects.get(parent.project)
            experiments = [await tx.experiments.get(ExperimentName.parse(name)) for name in wanted.experiments]
            search = Search(
                limit=size + 1,
                condition=condition,
                order=order,
                experiments=frozenset(experiment.id for experiment in experiments),
                data=wanted.data,
                show_archived=wanted.show_archived,
            )

            async def read(limit: int, after: Position | None) -> Sequence[tuple[LoggedModel, Position]]:
                part = dataclasses.replace(search, limit=limit, after=after)
                return await tx.logged_models.search(parent.project, part)

            rows = await read_by_weight(read, size + 1, decode(token, query, order, int), _weight)
        return page_of_found(rows, fitting([row for row, _ in rows], size, _weight), query)

    async def finish(self, name: LoggedModelName, state: LoggedModelState, message: str, origin: Origin) -> LoggedModel:
        """Say how it ended; in the same state again changes nothing.

        Raises:
            LoggedModelNotFound, LoggedModelArchived
            LoggedModelFinished: it has ended in another state.
        """
        async with self._store.transaction() as tx:
            logged = await _in_use(tx, name)
            if logged.state is state:
                return await tx.logged_models.get(name)
            if logged.state is not LoggedModelState.PENDING:
                raise LoggedModelFinished(logged_model=name, state=logged.state.name)
            changed = dataclasses.replace(logged, state=state, state_message=message)
            return await self._change(tx, "logged_model.finish", logged, changed, origin)

    async def add(self, name: LoggedModelName, additions: Additions, origin: Origin) -> LoggedModel:
        """Add parameters, tags, files and metrics; what is there already changes nothing.

        Raises:
            LoggedModelNotFound, LoggedModelArchived, ArtifactNotFound, RunNotFound
            LoggedValueConflict: a parameter or file has another value already. Nothing is added.
            TooManyEntries
        """
        async with self._store.transaction() as tx:
            logged = await _in_use(tx, name)
            await _check_artifacts(tx, additions.files)
            for run in sorted({metric.run for metric in additions.metrics if metric.run}):
                await tx.runs.get(RunName.parse(run))
            tags = {key: value for key, value in logged.tags.items() if key not in additions.removed_tags}
            changed = dataclasses.replace(
                logged,
                parameters=_together(logged.parameters, additions.parameters, "parameter"),
                tags=_bounded({**tags, **additions.tags}),
                files=_together(logged.files, _digests(additions.files), "file"),
            )
            added = await tx.logged_models.add_metrics(logged, additions.metrics)
            if changed == logged and not added:
                return await tx.logged_models.get(name)
            # What is on record is what was added, not all that there is then.
            told = dataclasses.replace(changed, metrics=additions.metrics)
            return await self._change(tx, "logged_model.log", logged, told, origin)

    async def archive(self, name: LoggedModelName, origin: Origin) -> LoggedModel:
        """Take it out of default lists; again changes nothing. Or raise LoggedModelNotFound."""
        async with self._store.transaction() as tx:
            logged = await tx.logged_models.get(name, lock=True)
            if logged.archived:
                return await tx.logged_models.get(name)
            archived = dataclasses.replace(logged, archived=True)
            return await self._change(tx, "logged_model.archive", logged, archived, origin)

    async def _change(
        self, tx: Transaction, kind: str, before: LoggedModel, after: LoggedModel, origin: Origin
    ) -> LoggedModel:
        now = self._clock.now()
        changed = dataclasses.replace(after, update_time=now)
        await tx.logged_models.update(changed)
        await tx.events.append(event(origin.actor, kind, before.name, before, changed, now))
        return await tx.logged_models.get(before.name)


def _weight(logged: LoggedModel) -> int:
    said = weight_of(dict(logged.parameters), dict(logged.tags), logged.state_message)
    return 1 + 2 * len(logged.files) + 2 * len(logged.metrics) + len(logged.model_versions) + said


async def _in_use(tx: Transaction, name: LoggedModelName) -> LoggedModel:
    logged = await tx.logged_models.get(name, lock=True)
    if logged.archived:
        raise LoggedModelArchived(logged_model=name)
    return logged


async def _experiment(tx: Transaction, parent: ProjectName, new: NewLoggedModel) -> Experiment:
    """The experiment that is named, or that of the run, or the default one."""
    run = await tx.runs.get(RunName.parse(new.run)) if new.run else None
    name = new.experiment or (run.experiment if run else str(ExperimentName(parent.project, DEFAULT)))
    return await tx.experiments.get(ExperimentName.parse(name))


async def _check_artifacts(tx: Transaction, files: Mapping[str, ArtifactName]) -> None:
    known = {artifact.name for artifact in await tx.artifacts.find(list(files.values()))}
    for path, name in files.items():
        if name not in known:
            raise ArtifactNotFound(artifact=name, path=path)


def _digests(files: Mapping[str, ArtifactName]) -> Mapping[str, str]:
    return {path: f"sha256:{name.artifact}" for path, name in files.items()}


def _together(present: Mapping[str, str], new: Mapping[str, str], what: str) -> Mapping[str, str]:
    for key, value in new.items():
        if present.get(key, value) != value:
            raise LoggedValueConflict(f"The {what} {key} has another value already.", key=key)
    return _bounded({**present, **new})


def _bounded(entries: Mapping[str, str]) -> Mapping[str, str]:
    if len(entries) > MAX_ENTRIES:
        raise TooManyEntries(limit=MAX_ENTRIES)
    return entries
