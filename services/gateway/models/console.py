"""The pages about models: their list, a model, a version, a comparison. A page's path is the resource's name."""

import asyncio
import json
from collections.abc import Callable, Mapping
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
from headwater.registry.v1 import model_versions_pb2, models_pb2, models_pb2_grpc
from services.gateway.explained import explained
from services.gateway.listing import Listing, listed, page_number
from services.gateway.models.files import files_of
from services.gateway.models.served import answers_for
from services.gateway.models.shown import moves_of, page_of_tensors
from services.gateway.pages import HEADERS, page

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
            "/models/{rest:path}": self.default_project,
            PROJECT: self.project,
            MODEL: self.model,
            MODEL + "/compare": self.compare,
            VERSION: self.version,
            VERSION + "/document": self.document,
        }
        return [Route(path, explained(show), methods=["GET"]) for path, show in pages.items()]

    async def default_project(self, request: Request) -> Response:
        """The pages of the default project, by short addresses."""
        path = PROJECT.format(project=DEFAULT_PROJECT) + request.url.path.removeprefix("/models").rstrip("/")
        return RedirectResponse(f"{path}?{request.url.query}" if request.url.query else path, 303)

    async def project(self, request: Request) -> Response:
        """The models of a project, or those that a filter asks for, a page at a time."""
        name, asked = ProjectName(request.path_params["project"]), _asked(request, "filter", "order_by", "all")
        wanted = models_pb2.ListModelsRequest(
            parent=str(name),
            page_size=_LISTED,
            page_token=request.query_params.get("page", ""),
            filter=asked["filter"],
            order_by=asked["order_by"],
            show_inactive=bool(asked["all"]),
        )
        found = await asyncio.to_thread(listed, self._stub.ListModels, wanted, "models")
        began = bool(wanted.page_token)
        return page("models/list.html", found.status, project=name, found=found, asked=asked, began=began)

    async def model(self, request: Request) -> Response:
        """One model: versions, stages, aliases, the history of their moves, tags."""
        name, asked = ModelName(**request.path_params), _asked(request, "filter")
        token = request.query_params.get("page", "")
        model = await asyncio.to_thread(model_collections.get, self._connection, name)
        found = await asyncio.to_thread(self._versions, name, asked["filter"], token)
        moves = await asyncio.to_thread(moves_of, model_pointers.history(self._connection, name), _MOVES)
        values = {"model": model, "found": found, "asked": asked, "began": bool(token), "moves": moves}
        return page("models/model.html", found.status, name=name, most_moves=_MOVES, **values)

    async def version(self, request: Request) -> Response:
        """One version: files, signature, tensors, metrics, what it comes from, what is missing."""
        name, asked = ModelVersionName(**request.path_params), _asked(request, "tensors")
        version = await asyncio.to_thread(model_versions.get, self._connection, name)
        return page(
            "models/version.html",
            name=name,
            version=version,
            answers_for=await asyncio.to_thread(answers_for, self._connection, version.name),
            asked=asked,
            shown=page_of_tensors(version, asked["tensors"], page_number(request.query_params.get("page", ""))),
            files=files_of(version),
            hyperparameters=_plain(version, "hyperparameters"),
            metadata=_plain(version, "metadata"),
        )

    async def document(self, request: Request) -> Response:
        """The metadata of a version as the JSON document that people exchange, as the registry wrote it."""
        name = ModelVersionName(**request.path_params)
        text = await asyncio.to_thread(model_versions.document, self._connection, name)
        return Response(text, media_type="application/json", headers=HEADERS)

    async def compare(self, request: Request) -> Response:
        """How versions differ: ``?versions=1,3,production,other@v1.0.0``, or a box ticked for each; ``&all=1``: all."""
        name = ModelName(**request.path_params)
        given = request.query_params.getlist("versions")  # boxes come newest first, as the page of the model has them
        chosen = [each.strip() for text in reversed(given) for each in text.split(",") if each.strip()]
        every = bool(request.query_params.get("all"))
        found, refused = model_versions_pb2.CompareModelVersionsResponse(), ""
        try:
            found = await asyncio.to_thread(self._compared, name, chosen)
        except InvalidArgument as error:
            refused = error.message  # beside what was typed, to be put right there
        rows = [row for row in found.comparisons if every or row.differs]
        values = {"found": found, "rows": rows, "every": every, "chosen": ",".join(chosen), "refused": refused}
        several = len({version.model_uid for version in found.model_versions}) > 1
        return page("models/compare.html", 400 if refused else 200, name=name, several=several, **values)

    def _versions(self, name: ModelName, where: str, token: str) -> Listing:
        wanted = models_pb2.ListModelVersionsRequest(
            parent=str(name),
            page_size=_LISTED,
            page_token=token,
            filter=where,
            show_inactive=True,
            view=model_versions_pb2.MODEL_VERSION_VIEW_BASIC,
        )
        return listed(self._stub.ListModelVersions, wanted, "model_versions")

    def _compared(self, name: ModelName, chosen: list[str]) -> model_versions_pb2.CompareModelVersionsResponse:
        if not 2 <= len(chosen) <= 10:
            raise InvalidArgument(f"From 2 to 10 versions can be compared, not {len(chosen)}.", field="versions")
        references = [_reference(name, each) for each in chosen]
        return model_comparisons.compare(self._connection, references, project=name.project)

    @property
    def _stub(self) -> models_pb2_grpc.ModelServiceStub:
        return models_pb2_grpc.ModelServiceStub(self._connection.channel("registry"))


def _reference(model: ModelName, text: str) -> str:
    """``3``, ``production``, ``@champion`` are of the page's model; ``other@3`` and full names say theirs."""
    return text if "/" in text or "@" in text[1:] else f"{model}@{text.removeprefix('@')}"


def _asked(request: Request, *keys: str) -> Mapping[str, str]:
    return {key: request.query_params.get(key, "") for key in keys}


def _plain(version: artifact_pb2.ModelMetadata, field: str) -> dict[str, str]:
    """Free values by name, as text."""
    values = MessageToDict(version, preserving_proto_field_name=True).get(field, {})
    return {key: value if isinstance(value, str) else _json(value) for key, value in sorted(values.items())}


def _json(value: object) -> str:
    return json.dumps(_whole(value), ensure_ascii=False)


def _whole(value: object) -> object:
    """Numbers without a fraction are written without one, also those within lists and objects."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case list():
            return [_whole(item) for item in value]
        case dict():
            return {key: _whole(item) for key, item in value.items()}
        case _:
            return value
