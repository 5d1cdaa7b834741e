"""The use case of comparing versions of models."""

from collections.abc import Sequence

from headwater.names import ModelName
from services.registry.comparisons.model import Comparison, Subject, compare
from services.registry.lineage.model import DEFAULT_DEPTH, Direction
from services.registry.lineage.walk import walk
from services.registry.store import Store
from services.registry.versions.model import Which


class Comparing:
    """Compares versions, of one model or of several."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def compare(self, names: Sequence[tuple[ModelName, Which]]) -> Comparison:
        """How the versions differ from the first of them, or raise ModelVersionNotFound."""
        async with self._store.transaction() as tx:
            subjects = []
            for name, which in names:
                version = await tx.versions.get(name, which)
                reached = await walk(tx.lineage, str(version.name), Direction.UPSTREAM, DEFAULT_DEPTH)
                subjects.append(Subject(version, reached.names))
            return compare(subjects)
