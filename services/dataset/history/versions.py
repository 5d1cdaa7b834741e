"""Use cases of versions: name a commit, say something about a version, take it out of use and put it back."""

import dataclasses
from collections.abc import Callable

from chassis import etags
from headwater.names import DatasetName, DatasetVersionName
from services.dataset.history.append import name_commit
from services.dataset.history.model import About, Version, VersionState, check_transition
from services.dataset.history.resolve import commit_in
from services.dataset.model import SemVer
from services.dataset.store import Store


class Versions:
    """Semantic versions."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def create(
        self, dataset: DatasetName, commit: str, version: SemVer | None, *, request_id: str, body: str
    ) -> Version:
        """Give a commit a version: this one, or the next.

        Raises:
            CommitHasVersion, VersionNotGreater, RequestIdReused, and what ``commit_in`` does.
        """
        async with self._store.transaction() as tx:
            first = await tx.first_result("CreateDatasetVersion", request_id, body)
            if first is not None:
                return await tx.get_version(dataset, SemVer.parse(first))
            await tx.get_dataset(dataset, lock=True)
            named = await name_commit(tx, await commit_in(tx, dataset, commit), version, None)
            await tx.remember("CreateDatasetVersion", request_id, body, str(named.version))
            return named

    async def describe(self, name: DatasetVersionName, change: Callable[[About], About], etag: str) -> Version:
        """Change what is said about a version.

        Raises:
            DatasetNotFound, VersionNotFound, InvalidVersion, EtagMismatch
        """
        return await self._update(name, etag, lambda before: dataclasses.replace(before, about=change(before.about)))

    async def set_state(self, name: DatasetVersionName, state: VersionState, message: str, etag: str) -> Version:
        """Bring a version into a state, and say why.

        Raises:
            DatasetNotFound, VersionNotFound, InvalidVersion, EtagMismatch
            TransitionNotAllowed: ``model.ALLOWED`` says which are.
        """

        def change(before: Version) -> Version:
            check_transition(before, state)
            return dataclasses.replace(before, state=state, state_message=message)

        return await self._update(name, etag, change)

    async def _update(self, name: DatasetVersionName, etag: str, change: Callable[[Version], Version]) -> Version:
        dataset = DatasetName(name.project, name.dataset)
        async with self._store.transaction() as tx:
            await tx.get_dataset(dataset, lock=True)
            before = await tx.get_version(dataset, SemVer.parse(name.version))
            etags.check(etag, etags.etag_of(before.revision))
            changed = change(before)
            return await tx.update_version(changed) if changed != before else before
