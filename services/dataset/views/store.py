"""What must be remembered of views, as a Protocol."""

from collections.abc import Sequence
from typing import Protocol

from headwater.names import DatasetVersionName, ViewName
from services.dataset.views.model import View


class Views(Protocol):
    """Views of versions."""

    async def create_view(self, view: View) -> View:
        """Add a view of a version that exists; its time is the store's.

        Raises:
            ViewAlreadyExists: a view of the version has the name, in whatever case.
        """
        ...

    async def get_view(self, name: ViewName) -> View:
        """One view.

        Raises:
            DatasetNotFound, VersionNotFound, InvalidVersion, ViewNotFound
        """
        ...

    async def list_views(self, version: DatasetVersionName, after: str, limit: int) -> Sequence[View]:
        """Views of a version by name, from the one after ``after``.

        Raises:
            DatasetNotFound, VersionNotFound, InvalidVersion
        """
        ...

    async def delete_view(self, name: ViewName) -> None:
        """Remove the view. Raises what ``get_view`` does."""
        ...
