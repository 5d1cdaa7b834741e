"""The use cases of versions that are there: saying more of them, taking them out of use and back (M-04 to M-09)."""

from collections.abc import Mapping

from chassis.clock import Clock
from chassis.etags import check, etag_of
from headwater.names import ModelName
from services.registry.events import event
from services.registry.models.errors import InvalidReplacement
from services.registry.models.model import EXCLUSIVE, Model, Stage
from services.registry.moves.model import Transition, Why, after
from services.registry.origin import Origin
from services.registry.states import State, check_transition
from services.registry.store import Store, Transaction
from services.registry.versions.model import ModelVersion, View, Which
from services.registry.versions.uses import check_unused


class VersionChanges:
    """Changes what is said of a version, and whether it may be used. Its files never change."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def describe(
        self, name: ModelName, which: Which, values: Mapping[str, object], etag: str, origin: Origin
    ) -> ModelVersion:
        """Set description, annotations or tags, by field of ModelVersion.

        Raises:
            ModelNotFound, ModelVersionNotFound
            EtagMismatch: the version has changed since the caller read it.
        """
        async with self._store.transaction() as tx:
            _, version = await _locked(tx, name, which, etag)
            return await self._change(tx, version, "version.update", origin, values)

    async def deprecate(
        self, name: ModelName, which: Which, replacement: tuple[ModelName, Which] | None, etag: str, origin: Origin
    ) -> ModelVersion:
        """Say that a version should not be used any more, and which one instead: who uses it is warned.

        Raises:
            ModelNotFound, ModelVersionNotFound: also of the replacement.
            InvalidReplacement: the version itself, or one that is out of use.
            EtagMismatch, TransitionNotAllowed
        """
        async with self._store.transaction() as tx:
            _, version = await _locked(tx, name, which, etag)
            instead = await tx.versions.get(*replacement, view=View.BASIC) if replacement else None
            if instead is not None and (instead.id == version.id or instead.state is not State.ACTIVE):
                raise InvalidReplacement(f"{instead.name} cannot be used instead.", replacement=instead.name)
            values = {"state": State.DEPRECATED, "replacement": str(instead.name) if instead else ""}
            return await self._change(tx, version, "version.deprecate", origin, values)

    async def archive(
        self, name: ModelName, which: Which, etag: str, origin: Origin, *, force: bool = False
    ) -> ModelVersion:
        """Take a version out of use and out of its stage; with ``force`` even where something depends on it.

        Raises:
            InUse: something depends on it.
            ModelNotFound, ModelVersionNotFound, EtagMismatch
        """
        async with self._store.transaction() as tx:
            model, version = await _locked(tx, name, which, etag)
            if version.state is State.ARCHIVED:
                return version
            if not force:
                await check_unused(tx, version)
            if version.stage in EXCLUSIVE:
                version = await self._leave_stage(tx, model, version, origin)
            values = {"state": State.ARCHIVED, "replacement": ""}
            return await self._change(tx, version, "version.archive", origin, values)

    async def reactivate(self, name: ModelName, which: Which, etag: str, origin: Origin) -> ModelVersion:
        """Put a deprecated or archived version back into use.

        Raises:
            ModelNotFound, ModelVersionNotFound, EtagMismatch
        """
        async with self._store.transaction() as tx:
            _, version = await _locked(tx, name, which, etag)
            values = {"state": State.ACTIVE, "replacement": ""}
            return await self._change(tx, version, "version.reactivate", origin, values)

    async def _leave_stage(self, tx: Transaction, model: Model, version: ModelVersion, origin: Origin) -> ModelVersion:
        now = after(await tx.moves.transitions(model, limit=1), await tx.now())
        why = Why("taken out of use")
        move = Transition(version.version, version.stage, Stage.ARCHIVED, origin.actor, now, why)
        await tx.moves.add_transition(model, move)
        await tx.models.update(model.changed(now))
        return await self._change(tx, version, "version.stage", origin, {"stage": Stage.ARCHIVED})

    async def _change(
        self, tx: Transaction, version: ModelVersion, kind: str, origin: Origin, values: Mapping[str, object]
    ) -> ModelVersion:
        """The version with other values; one that has them already stays as it is."""
        if all(getattr(version, field) == value for field, value in values.items()):
            return version
        if isinstance(state := values.get("state"), State):
            check_transition(version.name, version.state, state)
        now = self._clock.now()
        changed = version.changed(now, **values)
        await tx.versions.update(changed)
        await tx.events.append(event(origin.actor, kind, version.name, version.basic(), changed.basic(), now))
        return changed


async def _locked(tx: Transaction, name: ModelName, which: Which, etag: str) -> tuple[Model, ModelVersion]:
    """Model and version; nobody else changes a version of this model until the transaction ends."""
    model = await tx.models.get(name, lock=True)
    version = await tx.versions.get(name, which)
    check(etag, etag_of(version.revision))
    return model, version
