"""The use cases of stages: moving a version, with its objectives judged by the server, and the history of moves."""

import datetime
from collections.abc import Sequence

from chassis.etags import check, etag_of
from chassis.paging import Page, page_size, query_digest
from headwater.names import ModelName
from services.registry.events import event
from services.registry.models.model import EXCLUSIVE, Model, Stage
from services.registry.models.models import check_in_use
from services.registry.moves.model import Transition, Why, after
from services.registry.moves.paging import page_of_moves
from services.registry.origin import Origin
from services.registry.states import State
from services.registry.store import Store, Transaction
from services.registry.versions.errors import ModelVersionArchived, UnsafeModel
from services.registry.versions.model import ModelVersion, Which
from services.registry.versions.objectives import require


class Stages:
    """Moves versions between stages. The database's clock says when a move takes place."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def move(
        self, name: ModelName, which: Which, stage: Stage, *, etag: str, why: Why, origin: Origin
    ) -> ModelVersion:
        """Move a version to ``stage``; whoever held staging or production until now is archived in the same step.

        A version that is there already stays as it is, and no move is recorded.

        Raises:
            ModelNotFound, ModelVersionNotFound
            ModelArchived: nothing moves in a model that is out of use.
            EtagMismatch: the version has changed since the caller read it. Of many with one etag exactly one goes on.
            ObjectiveNotMet: an objective of the stage is not met.
            ModelVersionArchived, UnsafeModel: it may not be served, so it enters neither staging nor production.
        """
        async with self._store.transaction() as tx:
            model = await tx.models.get(name, lock=True)  # everybody who moves a version of this model waits here
            check_in_use(model)
            version = await tx.versions.get(name, which)
            check(etag, etag_of(version.revision))
            if version.stage is stage:
                return version
            _check_servable(version, stage)
            require(await tx.models.objectives(model, stage=stage), version.metrics)
            now = after(await tx.moves.transitions(model, limit=1), await tx.now())
            holder = model.stages.get(stage) if stage in EXCLUSIVE else None
            if holder is not None:
                replaced = Why(f"replaced by version {version.version}")
                held = await tx.versions.get(model.name, holder)
                await _move(tx, model, held, Stage.ARCHIVED, replaced, origin, now)
            moved = await _move(tx, model, version, stage, why, origin, now)
            await tx.models.update(model.changed(now))
            return moved

    async def transitions(self, name: ModelName, size: int, token: str) -> Page[Transition]:
        """The moves of a model's versions, newest first, or raise ModelNotFound."""
        size, query = page_size(size), query_digest("transitions", name)
        async with self._store.transaction() as tx:
            model = await tx.models.get(name)

            async def read(limit: int, before: int | None) -> Sequence[Transition]:
                return await tx.moves.transitions(model, before=before, limit=limit)

            return await page_of_moves(read, size, token, query)


def _check_servable(version: ModelVersion, stage: Stage) -> None:
    if stage not in EXCLUSIVE:
        return
    if version.state is State.ARCHIVED:
        raise ModelVersionArchived(version=version.name)
    if version.problems:
        raise UnsafeModel(
            f"{version.name} is not safe to load and cannot enter {stage.name.lower()}: {' '.join(version.problems)}",
            version=version.name,
            stage=stage.name.lower(),
        )


async def _move(
    tx: Transaction,
    model: Model,
    version: ModelVersion,
    stage: Stage,
    why: Why,
    origin: Origin,
    now: datetime.datetime,
) -> ModelVersion:
    moved = version.changed(now, stage=stage)
    await tx.versions.update(moved)
    await tx.moves.add_transition(model, Transition(version.version, version.stage, stage, origin.actor, now, why))
    await tx.events.append(event(origin.actor, "version.stage", version.name, version.basic(), moved.basic(), now))
    return moved
