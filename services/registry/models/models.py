"""The use cases of models: creating, finding, describing; and their objectives."""

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from chassis.clock import Clock
from chassis.etags import check, etag_of
from chassis.ids import new_id
from chassis.paging import Page, decode_token, page_of, page_size, query_digest
from headwater.names import InvalidName, ModelName, ProjectName
from services.registry.events import event
from services.registry.ids import is_id
from services.registry.models.errors import (
    ModelAlreadyExists,
    ModelArchived,
    ModelNotFound,
    ObjectiveAlreadyExists,
)
from services.registry.models.model import About, Model, NewObjective, Objective
from services.registry.models.searching import FIELDS, Search, order_of
from services.registry.origin import Origin, once
from services.registry.pages import fitting, read_by_weight, weight_of
from services.registry.projects.use import project_in_use
from services.registry.search.filters import parse_filter
from services.registry.search.pages import Position, decode, page_of_found
from services.registry.states import State
from services.registry.store import Store, Transaction


class Models:
    """Creates, finds, lists and describes models, adds objectives."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(self, name: ModelName, about: About, origin: Origin) -> Model:
        """Create a model.

        Raises:
            ProjectNotFound, ProjectArchived
            InvalidName: it looks like a uid.
            ModelAlreadyExists: the name is taken, whatever its case.
            RequestIdReused: the request id came before with another body.
        """
        check_name(name)
        async with self._store.transaction() as tx:

            async def add() -> str:
                model = await add_model(tx, name, about, self._clock, origin)
                if model is None:
                    raise ModelAlreadyExists(model=name)
                return model.id  # the name may be another one when a retry comes

            return await tx.models.get(ModelName(name.project, await once(tx, origin, add)))

    async def get(self, name: ModelName) -> Model:
        """The model of this name or, whatever its state, of this uid; or raise ModelNotFound."""
        async with self._store.transaction() as tx:
            return await tx.models.get(name)

    async def page(
        self,
        parent: ProjectName,
        size: int,
        token: str,
        *,
        where: str = "",
        order_by: str = "",
        show_inactive: bool = False,
    ) -> Page[Model]:
        """The models of a project that are in use, or all, by name or in the order asked for.

        Raises:
            ProjectNotFound
            InvalidFilter, InvalidOrder, InvalidPageToken
        """
        size, query = page_size(size), query_digest("models", parent, where, order_by, show_inactive)
        condition, order = parse_filter(where, FIELDS), order_of(order_by)
        after = decode(token, query, order, str)
        async with self._store.transaction() as tx:
            await tx.projects.get(parent.project)

            async def read(limit: int, after: Position | None) -> Sequence[tuple[Model, Position]]:
                return await tx.models.search(parent.project, Search(limit, condition, order, after, show_inactive))

            found = await read_by_weight(read, size + 1, after, _weight)
        return page_of_found(found, fitting([model for model, _ in found], size, _weight), query)

    async def describe(self, name: ModelName, values: Mapping[str, Any], etag: str, origin: Origin) -> Model:
        """Change what is said of a model: ``values`` by field of Model. Where all stays the same, nothing changes.

        Raises:
            ModelNotFound
            EtagMismatch: the model has changed since the caller read it.
        """
        async with self._store.transaction() as tx:
            model = await tx.models.get(name, lock=True)
            check(etag, etag_of(model.revision))
            if all(getattr(model, field) == value for field, value in values.items()):
                return model
            now = self._clock.now()
            changed = model.changed(now, **values)
            await tx.models.update(changed)
            await tx.events.append(event(origin.actor, "model.update", model.name, model, changed, now))
            return changed

    async def add_objective(self, name: ModelName, new: NewObjective, origin: Origin) -> Objective:
        """Add an objective to a model, which is created when it is new.

        Raises:
            ProjectNotFound, ProjectArchived, ModelArchived
            ObjectiveAlreadyExists: the name is taken, whatever its case.
            RequestIdReused: the request id came before with another body.
        """
        async with self._store.transaction() as tx:

            async def add() -> str:
                model = await ensure_model(tx, name, self._clock, origin)
                now = self._clock.now()
                objective = Objective(
                    new_id(), model.id, **dataclasses.asdict(new), create_time=now, created_by=origin.actor
                )
                if not await tx.models.add_objective(objective):
                    raise ObjectiveAlreadyExists(objective=new.objective)
                told = event(origin.actor, "objective.create", objective.name_in(model.name), None, objective, now)
                await tx.events.append(told)
                return f"{model.id}/{new.objective}"  # the model may have another name when a retry comes

            # The release before kept no id of the model.
            model_id, _, added = (await once(tx, origin, add)).rpartition("/")
            model = await tx.models.get(ModelName(name.project, model_id or name.model))
            objectives = await tx.models.objectives(model)
            return next(objective for objective in objectives if objective.objective == added)

    async def objectives(self, name: ModelName, size: int, token: str) -> Page[Objective]:
        """The objectives of a model by name, or raise ModelNotFound."""
        size, query = page_size(size), query_digest("objectives", name)
        after = decode_token(token, query, (str,))
        async with self._store.transaction() as tx:
            model = await tx.models.get(name)
            rows = await tx.models.objectives(model, after=str(after[0]) if after else "", limit=size + 1)
        return page_of(rows, size, key=lambda row: (row.objective.lower(),), query=query)


def check_name(name: ModelName) -> None:
    """Go on if a model may be called so.

    Raises:
        InvalidName: it looks like a uid, by which another model may be found.
    """
    if is_id(name.model.lower()):
        raise InvalidName("The name of a model must not look like a uid.", field="model_id")


def check_in_use(model: Model) -> None:
    """Go on if something new may begin with ``model``.

    Raises:
        ModelArchived
    """
    if model.state is State.ARCHIVED:
        raise ModelArchived(model=model.name)


async def add_model(tx: Transaction, name: ModelName, about: About, clock: Clock, origin: Origin) -> Model | None:
    """Add a model unless there is one of the same name, whatever its case: then None.

    Raises:
        ProjectNotFound, ProjectArchived
    """
    project = await project_in_use(tx, name.project)
    now = clock.now()
    model = Model(
        id=new_id(),
        project=project.name,
        project_id=project.id,
        model=name.model,
        display_name=about.display_name,
        description=about.description,
        create_time=now,
        created_by=origin.actor,
        update_time=now,
        tags=about.tags,
    )
    if not await tx.models.add(model):
        return None
    await tx.events.append(event(origin.actor, "model.create", name, None, model, now))
    return model


async def ensure_model(tx: Transaction, name: ModelName, clock: Clock, origin: Origin) -> Model:
    """The model, locked and in use; created when it is new.

    Raises:
        ProjectNotFound, ProjectArchived, ModelArchived
        ModelNotFound: a uid that no model has.
        ModelAlreadyExists: there is one whose name differs in case only.
    """
    with contextlib.suppress(ModelNotFound):
        return await _in_use(tx, name)
    if is_id(name.model):
        raise ModelNotFound(model=name)
    check_name(name)
    await add_model(
        tx, name, About(), clock, origin
    )  # somebody else may do so at this moment: then theirs is found below
    try:
        return await _in_use(tx, name)
    except ModelNotFound as error:
        raise ModelAlreadyExists(model=name) from error


async def _in_use(tx: Transaction, name: ModelName) -> Model:
    model = await tx.models.get(name, lock=True)
    check_in_use(model)
    await project_in_use(tx, model.project)
    return model


def _weight(model: Model) -> int:
    return 10 + weight_of(model.description, dict(model.tags), list(model.aliases))
