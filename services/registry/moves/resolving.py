"""Finding the version that a stage or an alias points to: now, on the hot path, or at a time, from the histories."""

import datetime

from headwater.names import ModelName
from services.registry.models.model import Stage
from services.registry.moves.errors import TimeNotReached
from services.registry.moves.model import Pointer
from services.registry.store import Store
from services.registry.versions.errors import AliasNotFound, StageIsEmpty
from services.registry.versions.model import ModelVersion, View


class Resolver:
    """Follows stages and aliases."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def now(self, name: ModelName, pointer: Pointer, view: View = View.FULL) -> ModelVersion:
        """The version that ``pointer`` points to; whoever asks after a move was acknowledged gets its result.

        Raises:
            ModelNotFound
            StageIsEmpty, AliasNotFound
        """
        version = await self._store.pointers.pointed_to(name, pointer, view)
        if version is not None:
            return version
        async with self._store.transaction() as tx:
            await tx.models.get(name)
        raise _nothing(name, pointer)

    async def at(
        self, name: ModelName, pointer: Pointer, time: datetime.datetime, view: View = View.FULL
    ) -> ModelVersion:
        """The version that ``pointer`` pointed to at ``time``, as it is now. The answer for a time never changes.

        Raises:
            ModelNotFound
            TimeNotReached: by the clock of the database.
            StageIsEmpty, AliasNotFound: it pointed to none then.
        """
        async with self._store.transaction() as tx:
            # A move that is under way may have its time already: it is waited for, so that nobody hears the old answer
            # for that time before and the new one after.
            model = await tx.models.get(name, settled=True)
            if time > await tx.now():
                raise TimeNotReached(time=time.isoformat())
            if isinstance(pointer, Stage):
                number = await tx.moves.holder_at(model, pointer, time)
            else:
                number = await tx.moves.aliased_at(model, pointer, time)
            if number is None:
                raise _nothing(name, pointer)
            return await tx.versions.get(model.name, number, view=view)


def _nothing(name: ModelName, pointer: Pointer) -> StageIsEmpty | AliasNotFound:
    if isinstance(pointer, Stage):
        return StageIsEmpty(model=name, stage=pointer.name.lower())
    return AliasNotFound(model=name, alias=pointer)
