"""The use cases of experiments: creating, finding, describing."""

from collections.abc import Mapping, Sequence
from typing import Any

from chassis.clock import Clock
from chassis.etags import check, etag_of
from chassis.paging import Page, page_size, query_digest
from headwater.names import ExperimentName, InvalidName, ProjectName
from services.registry.events import event
from services.registry.experiments.errors import ExperimentArchived
from services.registry.experiments.fields import FIELDS
from services.registry.experiments.model import About, Experiment, new_experiment
from services.registry.ids import is_id
from services.registry.origin import Origin, once
from services.registry.pages import fitting, read_by_weight, weight_of
from services.registry.projects.use import project_in_use
from services.registry.search import pages
from services.registry.search.fields import Field, Kind
from services.registry.search.filters import parse_filter
from services.registry.search.orders import parse_order
from services.registry.search.tree import And, Comparison, Operator
from services.registry.states import State
from services.registry.store import Store

_IN_USE = Comparison(Field("state", "", Kind.WORD), Operator.EQUAL, int(State.ACTIVE))


class Experiments:
    """Creates, finds, lists and describes experiments."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(self, name: ExperimentName, about: About, origin: Origin) -> Experiment:
        """Create an experiment.

        Raises:
            ProjectNotFound, ProjectArchived
            InvalidName: it looks like a uid.
            ExperimentAlreadyExists: its name, whatever its case, or its display name is taken.
            RequestIdReused: the request id came before with another body.
        """
        check_name(name)
        async with self._store.transaction() as tx:

            async def add() -> str:
                now = self._clock.now()
                project = await project_in_use(tx, name.project)
                experiment = new_experiment(project, name.experiment, about, origin.actor, now)
                await tx.experiments.add(experiment)
                await tx.events.append(event(origin.actor, "experiment.create", name, None, experiment, now))
                return experiment.id  # the name may be another one when a retry comes

            return await tx.experiments.get(ExperimentName(name.project, await once(tx, origin, add)))

    async def get(self, name: ExperimentName) -> Experiment:
        """The experiment of this name or, whatever its state, of this uid; or raise ExperimentNotFound."""
        async with self._store.transaction() as tx:
            return await tx.experiments.get(name)

    async def page(
        self, parent: ProjectName, size: int, token: str, *, wanted: str = "", by: str = "", show_inactive: bool = False
    ) -> Page[Experiment]:
        """The experiments of a project, newest first, or those that the filter ``wanted`` finds in the order ``by``.

        Raises:
            ProjectNotFound
            InvalidFilter, InvalidOrder, InvalidPageToken
        """
        condition, order = parse_filter(wanted, FIELDS), parse_order(by, FIELDS)
        size, query = page_size(size), query_digest("experiments", parent, wanted, by, show_inactive)
        after = pages.decode(token, query, order, str if order.keys else int)
        async with self._store.transaction() as tx:
            await tx.projects.get(parent.project)
            found = condition if show_inactive else And((condition, _IN_USE))

            async def read(limit: int, after: pages.Position | None) -> Sequence[tuple[Experiment, pages.Position]]:
                return await tx.experiments.search(parent.project, found, order, after=after, limit=limit)

            rows = await read_by_weight(read, size + 1, after, _weight)
        return pages.page_of_found(rows, fitting([row for row, _ in rows], size, _weight), query)

    async def describe(self, name: ExperimentName, values: Mapping[str, Any], etag: str, origin: Origin) -> Experiment:
        """Change what is said of an experiment: ``values`` by field. Where all stays the same, nothing changes.

        Raises:
            ExperimentNotFound
            ExperimentAlreadyExists: the display name is taken.
            EtagMismatch: it has changed since the caller read it.
        """
        async with self._store.transaction() as tx:
            experiment = await tx.experiments.get(name, lock=True)
            check(etag, etag_of(experiment.revision))
            if all(getattr(experiment, field) == value for field, value in values.items()):
                return experiment
            now = self._clock.now()
            changed = experiment.changed(now, **values)
            await tx.experiments.update(changed, experiment.name)
            record = event(origin.actor, "experiment.update", experiment.name, experiment, changed, now)
            await tx.events.append(record)
            return changed


def check_name(name: ExperimentName) -> None:
    """Go on if the name can be given to an experiment.

    Raises:
        InvalidName: it looks like a uid, by which experiments are found too.
    """
    if is_id(name.experiment.lower()):
        raise InvalidName("experiment_id must not look like a uid.", field="experiment_id")


def check_in_use(experiment: Experiment) -> None:
    """Go on if the experiment is not archived, else raise ExperimentArchived."""
    if experiment.state is State.ARCHIVED:
        raise ExperimentArchived(experiment=experiment.name, was=experiment.archived_name)


def _weight(experiment: Experiment) -> int:
    return 5 + weight_of(experiment.description, dict(experiment.tags))
