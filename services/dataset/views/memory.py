"""Views in memory."""

import dataclasses
import datetime
from collections.abc import Sequence

from headwater.names import DatasetName, DatasetVersionName, ViewName
from services.dataset.history.store import Versions
from services.dataset.model import SemVer
from services.dataset.views.errors import ViewAlreadyExists, ViewNotFound
from services.dataset.views.model import View

ViewState = dict[ViewName, View]
"""What is remembered of views."""


class MemoryViews(Versions):
    """See ``services.dataset.views.store.Views``; the other pieces of the transaction have the versions."""

    _views: ViewState
    _now: datetime.datetime

    async def create_view(self, view: View) -> View:
        """See Views."""
        taken = {(known.version, known.name.view.lower()) for known in self._views.values()}
        if (view.version, view.name.view.lower()) in taken:
            raise ViewAlreadyExists(view=view.name)
        self._views[view.name] = dataclasses.replace(view, create_time=self._now)
        return self._views[view.name]

    async def get_view(self, name: ViewName) -> View:
        """See Views."""
        await self._check_version(DatasetVersionName(name.project, name.dataset, name.version))
        if name not in self._views:
            raise ViewNotFound(view=name)
        return self._views[name]

    async def list_views(self, version: DatasetVersionName, after: str, limit: int) -> Sequence[View]:
        """See Views."""
        await self._check_version(version)
        views = [view for view in self._views.values() if view.version == version and view.name.view > after]
        return sorted(views, key=lambda view: view.name.view)[:limit]

    async def delete_view(self, name: ViewName) -> None:
        """See Views."""
        await self.get_view(name)
        del self._views[name]

    async def _check_version(self, name: DatasetVersionName) -> None:
        await self.get_version(DatasetName(name.project, name.dataset), SemVer.parse(name.version))
