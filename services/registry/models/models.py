"""The use cases of models: creating, finding, aliases, objectives."""

import contextlib
import dataclasses
import re

from chassis.clock import Clock
from chassis.etags import check, etag_of
from chassis.ids import new_id
from chassis.paging import Page, decode_token, page_of, page_size, query_digest
from headwater.names import ModelName, ProjectName
from services.registry.events import event
from services.registry.models.errors import InvalidAlias, ModelAlreadyExists, ModelNotFound, ObjectiveAlreadyExists
from services.registry.models.model import Model, NewObjective, Objective, Stage
from services.registry.origin import Origin, once
from services.registry.store import Store, Transaction
from services.registry.versions.model import View, Which

_RESERVED = frozenset(stage.name.lower() for stage in Stage)
_VERSION_LIKE = re.compile(r"v?[0-9]+", re.ASCII)


class Models:
    """Creates, finds and lists models, points aliases, adds objectives."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(self, name: ModelName, display_name: str, description: str, origin: Origin) -> Model:
        """Create a model.

        Raises:
            ProjectNotFound
            ModelAlreadyExists: the name is taken, whatever its case.
            RequestIdReused: the request id came before with another body.
        """
        async with self._store.transaction() as tx:

            async def add() -> str:
                if not await add_model(tx, name, self._clock, origin, display_name, description):
                    raise ModelAlreadyExists(model=name)
                return str(name)

            return await tx.models.get(ModelName.parse(await once(tx, origin, add)))

    async def get(self, name: ModelName) -> Model:
        """The model, or raise ModelNotFound."""
        async with self._store.transaction() as tx:
            return await tx.models.get(name)

    async def page(self, parent: ProjectName, size: int, token: str) -> Page[Model]:
        """The models of a project by name, or raise ProjectNotFound."""
        size, query = page_size(size), query_digest("models", parent)
        after = decode_token(token, query, (str,))
        async with self._store.transaction() as tx:
            await tx.projects.get(parent.project)
            rows = await tx.models.page(parent.project, after=str(after[0]) if after else "", limit=size + 1)
        return page_of(rows, size, key=lambda row: (row.model.lower(),), query=query)

    async def set_alias(self, name: ModelName, alias: str, which: Which | None, etag: str, origin: Origin) -> Model:
        """Point ``alias`` (case does not matter) at a version, or remove it.

        Raises:
            InvalidAlias: it is the name of a stage or looks like a version number.
            ModelNotFound, ModelVersionNotFound
            EtagMismatch: the model has changed since the caller read it.
        """
        alias = alias.lower()
        if alias in _RESERVED or _VERSION_LIKE.fullmatch(alias):
            raise InvalidAlias(alias=alias)
        async with self._store.transaction() as tx:
            model = await tx.models.get(name, lock=True)
            check(etag, etag_of(model.revision))
            number = None
            if which is not None:
                number = (await tx.versions.get(name, which, view=View.BASIC)).version
            if model.aliases.get(alias) == number:
                return model
            await tx.models.set_alias(model, alias, number)
            await tx.models.update(dataclasses.replace(model, revision=model.revision + 1))
            changed = await tx.models.get(name)
            await tx.events.append(event(origin.actor, "model.alias", name, model, changed, self._clock.now()))
            return changed

    async def add_objective(self, name: ModelName, new: NewObjective, origin: Origin) -> Objective:
        """Add an objective to a model, which is created when it is new.

        Raises:
            ProjectNotFound
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
                told = event(origin.actor, "objective.create", objective.name_in(name), None, objective, now)
                await tx.events.append(told)
                return new.objective

            added = await once(tx, origin, add)
            objectives = await tx.models.objectives(await tx.models.get(name))
            return next(objective for objective in objectives if objective.objective == added)

    async def objectives(self, name: ModelName, size: int, token: str) -> Page[Objective]:
        """The objectives of a model by name, or raise ModelNotFound."""
        size, query = page_size(size), query_digest("objectives", name)
        after = decode_token(token, query, (str,))
        async with self._store.transaction() as tx:
            model = await tx.models.get(name)
            rows = await tx.models.objectives(model, after=str(after[0]) if after else "", limit=size + 1)
        return page_of(rows, size, key=lambda row: (row.objective.lower(),), query=query)


async def add_model(
    tx: Transaction, name: ModelName, clock: Clock, origin: Origin, display_name: str = "", description: str = ""
) -> bool:
    """Add a model unless there is one of the same name, whatever its case; whether it was added.

    Raises:
        ProjectNotFound
    """
    project = await tx.projects.get(name.project)
    model = Model(
        id=new_id(),
        project=project.name,
        project_id=project.id,
        model=name.model,
        display_name=display_name,
        description=description,
        create_time=clock.now(),
        created_by=origin.actor,
    )
    added = await tx.models.add(model)
    if added:
        await tx.events.append(event(origin.actor, "model.create", name, None, model, model.create_time))
    return added


async def ensure_model(tx: Transaction, name: ModelName, clock: Clock, origin: Origin) -> Model:
    """The model, locked; created when it is new.

    Raises:
        ProjectNotFound
        ModelAlreadyExists: there is one whose name differs in case only.
    """
    with contextlib.suppress(ModelNotFound):
        return await tx.models.get(name, lock=True)
    await add_model(tx, name, clock, origin)  # somebody else may do so at this moment: then theirs is found below
    try:
        return await tx.models.get(name, lock=True)
    except ModelNotFound as error:
        raise ModelAlreadyExists(model=name) from error
