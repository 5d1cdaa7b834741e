"""The pages about datasets: their list, a dataset, a version, a profile. A page's path is the resource's name."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any, Final

import pyarrow as pa
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from headwater import datasets
from headwater.client import Connection
from headwater.dataset.v1 import datasets_pb2
from headwater.datasets import history, profiles, views
from headwater.errors import HeadwaterError
from headwater.names import DatasetName, DatasetVersionName, ProfileName, ProjectName
from services.gateway.datasets.preview import preview
from services.gateway.datasets.shown import page_of_columns
from services.gateway.explained import explained
from services.gateway.pages import page

PROJECT: Final = "/projects/{project}/datasets"
DATASET: Final = PROJECT + "/{dataset}"
VERSION: Final = DATASET + "/versions/{version}"
PROFILE: Final = VERSION + "/profiles/{profile}"

_LISTED: Final = 100
_COMMITS: Final = 20
_SCHEMA_COLUMNS: Final = 200
_PREVIEWS: Final = 3


class DatasetPages:
    """Pages over the dataset service, read in the caller's name."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def routes(self) -> list[Route]:
        """The pages."""
        pages: dict[str, Callable[[Request], Any]] = {
            PROJECT: self.project,
            DATASET: self.dataset,
            VERSION: self.version,
            VERSION + "/profile": self.newest_profile,
            PROFILE: self.profile,
        }
        return [Route(path, explained(show), methods=["GET"]) for path, show in pages.items()]

    async def project(self, request: Request) -> Response:
        """The datasets of a project."""
        name = ProjectName(request.path_params["project"])

        def look() -> list[datasets_pb2.Dataset]:
            return list(itertools.islice(datasets.list_datasets(self._connection, project=name.project), _LISTED))

        return page("datasets/list.html", project=name, datasets=await asyncio.to_thread(look), limit=_LISTED)

    async def dataset(self, request: Request) -> Response:
        """One dataset: versions, branches, tags, newest commits."""
        name = DatasetName(**request.path_params)
        return page("datasets/dataset.html", name=name, **await asyncio.to_thread(self._dataset, str(name)))

    async def version(self, request: Request) -> Response:
        """One version: splits, columns, provenance, first rows."""
        name = DatasetVersionName(**request.path_params)
        return page("datasets/version.html", name=name, **await asyncio.to_thread(self._version, str(name)))

    async def newest_profile(self, request: Request) -> Response:
        """The newest profile of a version that is still true."""
        name = DatasetVersionName(**request.path_params)
        found = await asyncio.to_thread(profiles.newest, self._connection, str(name))
        return RedirectResponse(f"/{found.name if found else name}", 303)

    async def profile(self, request: Request) -> Response:
        """One profile: what each column of a split is like."""
        name = ProfileName(**request.path_params)
        found = await asyncio.to_thread(profiles.get, self._connection, str(name))
        words = request.query_params.get("columns", "")
        wanted = request.query_params.get("split", "")
        split = next((each for each in found.splits if each.split == wanted), found.splits[0] if found.splits else None)
        return page(
            "datasets/profile.html",
            name=name,
            version=DatasetVersionName(name.project, name.dataset, name.version),
            profile=found,
            split=split,
            words=words,
            shown=page_of_columns(split, words, _number(request.query_params.get("page", ""))) if split else None,
        )

    def _dataset(self, name: str) -> dict[str, Any]:
        connection = self._connection
        dataset = datasets.get(connection, name)
        return {
            "dataset": dataset,
            "versions": list(itertools.islice(datasets.list_versions(connection, name), _LISTED)),
            "branches": list(itertools.islice(history.list_branches(connection, name), _LISTED)),
            "tags": list(itertools.islice(history.list_tags(connection, name), _LISTED)),
            "commits": list(itertools.islice(self._log(name), _COMMITS)),
            "limit": _LISTED,
        }

    def _log(self, name: str) -> Any:
        try:
            yield from history.log(self._connection, name, page_size=_COMMITS)
        except HeadwaterError as error:
            if error.reason != "BRANCH_NOT_FOUND":  # there is no commit yet
                raise

    def _version(self, name: str) -> dict[str, Any]:
        connection = self._connection
        version = datasets.get_version(connection, name)
        schema = pa.ipc.read_schema(pa.py_buffer(version.arrow_schema)) if version.arrow_schema else pa.schema([])
        shown = version.splits[:_PREVIEWS]
        archived = version.state == datasets_pb2.DatasetVersion.STATE_ARCHIVED
        return {
            "version": version,
            "columns": [(field.name, str(field.type)) for field in schema][:_SCHEMA_COLUMNS],
            "column_count": len(schema.names),
            "views": list(itertools.islice(views.list_views(connection, name), _LISTED)),
            "profiles": list(itertools.islice(profiles.list_profiles(connection, name, page_size=_COMMITS), _COMMITS)),
            "previews": [] if archived else [preview(connection, name, each, schema.names) for each in shown],
        }


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 1
