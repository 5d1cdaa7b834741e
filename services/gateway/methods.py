"""Get and List methods as JSON in the shape of their protos. Lists take ``page_size`` and ``page_token``."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from headwater.errors import InvalidArgument
from headwater.names import ResourceName

API: Final = "/api/v1"
Answer = Callable[[Request], Any]
Parsers = Mapping[str, Callable[[str], Any]]
"""What else a query may say, each with what reads it; raises InvalidArgument."""


def one(
    kind: type[ResourceName], call: Callable[[Any], Message], message: type[Message], also: Parsers | None = None
) -> Answer:
    """Answers with the resource of the path's name."""

    async def answer(request: Request) -> Response:
        values = {"name": str(kind(**request.path_params)), **_also(request, also or {})}
        return JSONResponse(_as_json(await asyncio.to_thread(call, message(**values))))

    return answer


def listed(
    kind: type[ResourceName], call: Callable[[Any], Message], message: type[Message], also: Parsers | None = None
) -> Answer:
    """Answers with a page of what belongs to the resource of the path's name."""

    async def answer(request: Request) -> Response:
        values = {
            "parent": str(kind(**request.path_params)),
            "page_size": _size(request.query_params.get("page_size", "")),
            "page_token": request.query_params.get("page_token", ""),
            **_also(request, also or {}),
        }
        return JSONResponse(_as_json(await asyncio.to_thread(call, message(**values))))

    return answer


def _also(request: Request, also: Parsers) -> dict[str, Any]:
    return {key: parse(request.query_params[key]) for key, parse in also.items() if key in request.query_params}


def _as_json(message: Message) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def _size(text: str) -> int:
    if text and not (text.isascii() and text.isdigit() and len(text) < 7):
        raise InvalidArgument("page_size must be a number from 0 to 999999.", field="page_size")
    return int(text or 0)
