"""The pages about datasets: their list, a dataset, a version, a profile. A page's path is the resource's name."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from headwater import datasets
from headwater.client import Connection
from headwater.dataset.v1 import datasets_pb2, definitions_pb2
from headwater.datasets import checkpoints, history, profiles, views
from headwater.datasets.states import is_place, newest_copy
from headwater.errors import HeadwaterError
from headwater.names import DatasetName, DatasetVersionName, ProfileName, ProjectName
from services.gateway.datasets.preview import preview, served_schema
from services.gateway.datasets.shown import page_of_columns
from services.gateway.explained import explained
from services.gateway.listing import page_number
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
        """One profile: what each column of a split is like; of the largest one where none is chosen."""
        name = ProfileName(**request.path_params)
        found = await asyncio.to_thread(profiles.get, self._connection, str(name))
        words = request.query_params.get("columns", "")
        wanted = request.query_params.get("split", "")
        named = (each for each in found.splits if each.split == wanted)
        split = next(named, max(found.splits, key=lambda each: each.row_count, default=None))
        return page(
            "datasets/profile.html",
            name=name,
            version=DatasetVersionName(name.project, name.dataset, name.version),
            profile=found,
            split=split,
            words=words,
            shown=page_of_columns(split, words, page_number(request.query_params.get("page", ""))) if split else None,
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
        made = list(itertools.islice(checkpoints.list_checkpoints(connection, name), _LISTED))
        usable = version.state != datasets_pb2.DatasetVersion.STATE_ARCHIVED
        copy = newest_copy(made) if is_place(version) else None
        splits = list(copy.splits if copy else version.splits)
        schema = _schema(connection, version, splits if usable else [])
        return {
            "version": version,
            "place": place_of(version.definition.data_path),
            "copy": copy,
            "splits": splits,
            "row_count": sum(split.row_count for split in splits),
            "checkpoints": made,
            "columns": [(field.name, str(field.type)) for field in schema][:_SCHEMA_COLUMNS],
            "column_count": len(schema.names),
            "views": list(itertools.islice(views.list_views(connection, name), _LISTED)),
            "profiles": list(itertools.islice(profiles.list_profiles(connection, name, page_size=_COMMITS), _COMMITS)),
            "previews": [preview(connection, name, each, schema.names) for each in splits[:_PREVIEWS] if usable],
        }


def place_of(path: definitions_pb2.DataPath) -> str:
    """Where a version's rows are, in a line: the datastore, and the file, folder, table or query in it."""
    kind = path.WhichOneof("path")
    if kind is None:
        return ""
    datastore = path.datastore.rpartition("/")[2]
    match kind:
        case "relative_path":
            return f"{datastore}: {path.relative_path or '/'}"
        case "sql_table":
            return f"{datastore}: table {path.sql_table}"
        case "sql_query":
            return f"{datastore}: {path.sql_query}"


def _schema(
    connection: Connection, version: datasets_pb2.DatasetVersion, splits: Sequence[definitions_pb2.Split]
) -> pa.Schema:
    """The version's; of one that is a place, that of its copy's rows, which the version itself does not say."""
    if version.arrow_schema:
        return pa.ipc.read_schema(pa.py_buffer(version.arrow_schema))
    if not splits:
        return pa.schema([])
    return served_schema(connection, version.name, splits[0].name)
