"""Use cases of views: give a filter on a version a name, look it up, drop it."""

from chassis.clock import SystemClock
from chassis.filters.filter import Filter
from chassis.filters.syntax import parse
from chassis.paging import Page, decode_token, page_of, page_size, query_digest
from headwater.names import DatasetVersionName, ViewName
from services.dataset.datasets import read_schema, version_named
from services.dataset.history.model import Commit
from services.dataset.history.resolve import check_usable
from services.dataset.store import Store
from services.dataset.views.model import View


class Views:
    """Views of versions. ``size`` and ``token`` are those of AIP-158."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def create(
        self, name: ViewName, condition: str, description: str, *, author: str, request_id: str, body: str
    ) -> View:
        """Give a filter on a version a name.

        Raises:
            DatasetNotFound, VersionNotFound, InvalidVersion, VersionArchived
            InvalidFilter: it does not fit the version's columns.
            ViewAlreadyExists, RequestIdReused
        """
        view = View(name, condition, description, author, SystemClock().now())
        async with self._store.transaction() as tx:
            commit = (await version_named(tx, view.version)).commit
            if await tx.first_result("CreateView", request_id, body) is not None:
                return await tx.get_view(name)
            check_usable(commit)
            check_filter(condition, commit)
            created = await tx.create_view(view)
            await tx.remember("CreateView", request_id, body, str(name))
            return created

    async def get(self, name: ViewName) -> View:
        """One view, or DatasetNotFound, VersionNotFound, InvalidVersion, ViewNotFound."""
        async with self._store.transaction() as tx:
            return await tx.get_view(name)

    async def list(self, version: DatasetVersionName, size: int, token: str) -> Page[View]:
        """The views of a version by name, or DatasetNotFound, VersionNotFound, InvalidVersion."""
        limit, query = page_size(size), query_digest("views", version)
        after = decode_token(token, query, (str,))
        async with self._store.transaction() as tx:
            rows = await tx.list_views(version, str(after[0]) if after else "", limit + 1)
        return page_of(rows, limit, key=lambda view: (view.name.view,), query=query)

    async def delete(self, name: ViewName) -> None:
        """Delete the view, not a row. Raises what ``get`` does."""
        async with self._store.transaction() as tx:
            await tx.delete_view(name)


def check_filter(condition: str, commit: Commit) -> None:
    """Go on if the filter fits the commit's columns, as far as they are known, or InvalidFilter."""
    if commit.splits:
        Filter.parse(condition, read_schema(commit.splits[0]))
    else:
        parse(condition)  # the columns are somewhere else, and can change
