"""The pages about models: their list, a model, a version, a comparison. A page's path is the resource's name."""

import asyncio
import itertools
import json
from collections.abc import Callable
from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from headwater import model_collections, model_comparisons, model_pointers, model_versions
from headwater.artifact.v1 import artifact_pb2
from headwater.client import Connection
from headwater.errors import InvalidArgument
from headwater.names import DEFAULT_PROJECT, ModelName, ModelVersionName, ProjectName
from services.gateway.explained import explained
from services.gateway.models.shown import move_of, page_of_tensors
from services.gateway.pages import page

PROJECT: Final = "/projects/{project}/models"
MODEL: Final = PROJECT + "/{model}"
VERSION: Final = MODEL + "/versions/{version}"

_LISTED: Final = 100
_MOVES: Final = 50


class ModelPages:
    """Pages over the registry, read in the caller's name."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def routes(self) -> list[Route]:
        """The pages."""
        pages: dict[str, Callable[[Request], Any]] = {
            "/models": self.default_project,
            PROJECT: self.project,
            MODEL: self.model,
            MODEL + "/compare": self.compare,
            VERSION: self.version,
        }
        return [Route(path, explained(show), methods=["GET"]) for path, show in pages.items()]

    async def default_project(self, _request: Request) -> Response:
        """The models of the default project, by a short address."""
        return RedirectResponse(PROJECT.format(project=DEFAULT_PROJECT), 303)

    async def project(self, request: Request) -> Response:
        """The models of a project, or those that a filter asks for."""
        name = ProjectName(request.path_params["project"])
        asked = {key: request.query_params.get(key, "") for key in ("filter", "order_by", "all")}

        def look() -> Any:
            models = model_collections.list_(
                self._connection,
                name,
                where=asked["filter"],
                order_by=asked["order_by"],
                show_inactive=bool(asked["all"]),
            )
            return list(itertools.islice(models, _LISTED))

        found, refused = [], ""
        try:
            found = await asyncio.to_thread(look)
        except InvalidArgument as error:
            refused = error.message  # beside what was typed, to be put right there
        return page("models/list.html", project=name, models=found, asked=asked, refused=refused, limit=_LISTED)

    async def model(self, request: Request) -> Response:
        """One model: versions, stages, aliases, the history of their moves, tags."""
        name = ModelName(**request.path_params)
        return page("models/model.html", name=name, **await asyncio.to_thread(self._model, name))

    async def version(self, request: Request) -> Response:
        """One version: files, signature, tensors, metrics, what it comes from, what is missing."""
        name = ModelVersionName(**request.path_params)
        words, number = request.query_params.get("tensors", ""), _number(request.query_params.get("page", ""))
        return page(
            "models/version.html", name=name, words=words, **await asyncio.to_thread(self._version, name, words, number)
        )

    async def compare(self, request: Request) -> Response:
        """How versions of a model differ: ``?versions=1,3``, or a box ticked for each; ``&all=1`` for everything."""
        name = ModelName(**request.path_params)
        given = request.query_params.getlist("versions")  # boxes come newest first, as the page of the model has them
        chosen = [number.strip() for each in reversed(given) for number in each.split(",") if number]
        names = [str(ModelVersionName(name.project, name.model, version)) for version in chosen]
        found = await asyncio.to_thread(model_comparisons.compare, self._connection, names)
        every = bool(request.query_params.get("all"))
        rows = [row for row in found.comparisons if every or row.differs]
        return page("models/compare.html", name=name, found=found, rows=rows, every=every, chosen=",".join(chosen))

    def _model(self, name: ModelName) -> dict[str, Any]:
        connection = self._connection
        versions = model_versions.versions(connection, name, show_inactive=True)
        moves = model_pointers.history(connection, name)
        return {
            "model": model_collections.get(connection, name),
            "versions": list(itertools.islice(versions, _LISTED)),
            "moves": [move_of(move) for move in itertools.islice(moves, _MOVES)],
            "limit": _LISTED,
            "most_moves": _MOVES,
        }

    def _version(self, name: ModelVersionName, words: str, number: int) -> dict[str, Any]:
        version = model_versions.get(self._connection, name)
        return {
            "version": version,
            "shown": page_of_tensors(version, words, number),
            "hyperparameters": _plain(version, "hyperparameters"),
            "metadata": _plain(version, "metadata"),
            "document": model_versions.document(self._connection, name),
        }


def _plain(version: artifact_pb2.ModelMetadata, field: str) -> dict[str, str]:
    """Free values by name, as text."""
    values = MessageToDict(version, preserving_proto_field_name=True).get(field, {})
    return {key: value if isinstance(value, str) else _json(value) for key, value in sorted(values.items())}


def _json(value: object) -> str:
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if whole else json.dumps(value, ensure_ascii=False)  # type: ignore[call-overload]


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 1
