"""The use cases of stages: moving a version, with its objectives judged by the server, and the history of moves."""

import dataclasses

from chassis.clock import Clock
from chassis.etags import check, etag_of
from chassis.paging import Page, decode_token, page_of, page_size, query_digest
from headwater.names import ModelName
from services.registry.events import event
from services.registry.models.model import EXCLUSIVE, Model, Stage
from services.registry.origin import Origin
from services.registry.store import Store, Transaction
from services.registry.versions.model import ModelVersion, Transition, Which
from services.registry.versions.objectives import require


class Stages:
    """Moves versions between stages."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def move(
        self, name: ModelName, which: Which, stage: Stage, *, etag: str, comment: str, origin: Origin
    ) -> ModelVersion:
        """Move a version to ``stage``; whoever held staging or production until now is archived in the same step.

        A version that is there already stays as it is, and no move is recorded.

        Raises:
            ModelNotFound, ModelVersionNotFound
            EtagMismatch: the version has changed since the caller read it. Of many with one etag exactly one goes on.
            ObjectiveNotMet: an objective of the stage is not met.
        """
        async with self._store.transaction() as tx:
            model = await tx.models.get(name, lock=True)  # everybody who moves a version of this model waits here
            version = await tx.versions.get(name, which)
            check(etag, etag_of(version.revision))
            if version.stage is stage:
                return version
            require(await tx.models.objectives(model, stage=stage), version.metrics)
            holder = model.stages.get(stage) if stage in EXCLUSIVE else None
            if holder is not None:
                replaced = f"replaced by version {version.version}"
                await self._move(tx, model, await tx.versions.get(name, holder), Stage.ARCHIVED, replaced, origin)
            moved = await self._move(tx, model, version, stage, comment, origin)
            await tx.models.update(dataclasses.replace(model, revision=model.revision + 1))
            return moved

    async def transitions(self, name: ModelName, size: int, token: str) -> Page[Transition]:
        """The moves of a model's versions, newest first, or raise ModelNotFound."""
        size, query = page_size(size), query_digest("transitions", name)
        before = decode_token(token, query, (int,))
        async with self._store.transaction() as tx:
            model = await tx.models.get(name)
            rows = await tx.versions.transitions(model, before=int(before[0]) if before else None, limit=size + 1)
        return page_of(rows, size, key=lambda row: (row.sequence,), query=query)

    async def _move(
        self, tx: Transaction, model: Model, version: ModelVersion, stage: Stage, comment: str, origin: Origin
    ) -> ModelVersion:
        now = self._clock.now()
        moved = version.changed(now, stage=stage)
        await tx.versions.update(moved)
        await tx.versions.add_transition(
            model, Transition(version.version, version.stage, stage, origin.actor, now, comment)
        )
        await tx.events.append(event(origin.actor, "version.stage", version.name, version.basic(), moved.basic(), now))
        return moved
