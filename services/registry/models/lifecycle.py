"""The use cases of a model's life: another name, out of use, back into use (M-04…M-09). Nothing is ever deleted."""

from collections.abc import Mapping
from typing import Any

from chassis.clock import Clock
from chassis.etags import check, etag_of
from headwater.names import ModelName
from services.registry.events import event
from services.registry.models.errors import InvalidReplacement, ModelNotFound
from services.registry.models.model import Model
from services.registry.models.models import check_in_use, check_name
from services.registry.models.uses import check_unused
from services.registry.origin import Origin
from services.registry.states import State, check_transition
from services.registry.store import Store, Transaction


class Lifecycle:
    """Renames, deprecates, archives and reactivates models.

    Every change raises ModelNotFound, and EtagMismatch when the model has changed since the caller read it.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def rename(self, name: ModelName, model_id: str, etag: str, origin: Origin) -> Model:
        """Give a model another name. What refers to it follows in the same step; the old name is free again.

        Raises:
            ModelArchived: it has no name until it is reactivated.
            ModelAlreadyExists: the name is taken, whatever its case.
            InvalidName: it looks like a uid.
        """
        check_name(ModelName(name.project, model_id))
        async with self._store.transaction() as tx:
            model = await _locked(tx, name, etag)
            check_in_use(model)
            return await self._change(tx, model, "model.rename", {"model": model_id}, origin)

    async def deprecate(self, name: ModelName, replacement: ModelName | None, etag: str, origin: Origin) -> Model:
        """Warn who uses a model from now on, and say what to use instead.

        Raises:
            TransitionNotAllowed: it is archived.
            InvalidReplacement: that is not there, archived, or this model.
        """
        async with self._store.transaction() as tx:
            model = await _locked(tx, name, etag)
            check_transition(model.name, model.state, State.DEPRECATED)
            said = await _replacement(tx, model, replacement) if replacement else ""
            changes = {"state": State.DEPRECATED, "replacement": said}
            return await self._change(tx, model, "model.deprecate", changes, origin)

    async def archive(self, name: ModelName, etag: str, origin: Origin, *, force: bool = False) -> Model:
        """Take a model out of use: its name is free, it is found by its uid, and nothing new begins with it.

        Raises:
            TransitionNotAllowed: it is archived already.
            InUse: something depends on one of its versions, and it is not to be forced.
        """
        async with self._store.transaction() as tx:
            model = await _locked(tx, name, etag)
            check_transition(model.name, model.state, State.ARCHIVED)
            if not force:
                await check_unused(tx, model)
            changes = {
                "state": State.ARCHIVED,
                "replacement": "",
                "model": model.id,
                "archived_name": model.model,
            }
            return await self._change(tx, model, "model.archive", changes, origin)

    async def reactivate(self, name: ModelName, etag: str, origin: Origin) -> Model:
        """Put a model back into use, under the name that it had.

        Raises:
            TransitionNotAllowed: it is in use.
            ModelAlreadyExists: the name was given to another model.
        """
        async with self._store.transaction() as tx:
            model = await _locked(tx, name, etag)
            check_transition(model.name, model.state, State.ACTIVE)
            changes = {"state": State.ACTIVE, "replacement": "", "model": model.model_id, "archived_name": ""}
            return await self._change(tx, model, "model.reactivate", changes, origin)

    async def _change(
        self, tx: Transaction, model: Model, kind: str, changes: Mapping[str, Any], origin: Origin
    ) -> Model:
        if all(getattr(model, field) == value for field, value in changes.items()):
            return model
        now = self._clock.now()
        changed = model.changed(now, **changes)
        if changed.name == model.name:
            await tx.models.update(changed)
        else:
            await tx.models.rename(changed, model.name)
            await tx.lineage.rename_model(model.name, changed.name)
            await tx.run_links.rename_model(model.name, changed.name)
            await tx.runs.rename_references(str(model.name), str(changed.name))
        await tx.events.append(event(origin.actor, kind, model.name, model, changed, now))
        return changed


async def _locked(tx: Transaction, name: ModelName, etag: str) -> Model:
    model = await tx.models.get(name, lock=True)
    check(etag, etag_of(model.revision))
    return model


async def _replacement(tx: Transaction, model: Model, name: ModelName) -> str:
    try:
        replacement = await tx.models.get(name)
    except ModelNotFound as error:
        raise InvalidReplacement(f"There is no {name} to be used instead.", replacement=name) from error
    if replacement.id == model.id or replacement.state is State.ARCHIVED:
        raise InvalidReplacement(f"{name} cannot be used instead.", replacement=name)
    return str(replacement.name)
