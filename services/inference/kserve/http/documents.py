"""JSON of requests, read with care: an object of known members, lists where lists belong."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from services.inference.errors import InvalidRequest
from services.inference.kserve.parameters import Parameters
from services.inference.tensors.errors import shown

_HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")
"""May be the escape of a surrogate, of which one alone is no character: whatever writes the text would fail at it."""
_GREAT = re.compile(r"[eE]\+?0*[1-9][0-9]{2}")
"""May be a number that Python reads as infinite."""
MAX_JSON_BYTES = 16 * 2**20
"""Of JSON in a request: it takes twenty times the memory once it is read, and long, while nobody else is answered."""


def json_object(body: bytes, allowed: frozenset[str]) -> Mapping[str, Any]:
    """The JSON object in ``body``, which has no other members than ``allowed``; an empty body is an empty object.

    Raises:
        InvalidRequest: it is none.
    """
    if not body:
        return {}
    if len(body) > MAX_JSON_BYTES:
        raise InvalidRequest(f"JSON may have {MAX_JSON_BYTES} bytes; {len(body)} came. Send tensors as binary data.")
    try:
        text = body.decode()
        document = json.loads(text, parse_float=_finite if _GREAT.search(text) else None)
        if _HALF_CHARACTER.search(text):
            json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("The body is not JSON in UTF-8.") from error
    return members("The body", document, allowed)


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):  # the infinities themselves are words
        raise InvalidRequest(f"The number {shown(text)} is larger than any FP64.")
    return number


def parameters_of(what: str, document: Mapping[str, Any]) -> Parameters:
    """The parameters in a JSON object; raises InvalidRequest."""
    parameters = document.get("parameters", {})
    if not isinstance(parameters, dict):
        raise InvalidRequest(f"{what}: parameters must be an object.")
    for name, value in parameters.items():
        if not isinstance(value, bool | int | float | str):
            raise InvalidRequest(f"{what}: the parameter {shown(name)} must be a text, a number, true or false.")
    return parameters


def members(what: str, document: Any, allowed: frozenset[str]) -> Mapping[str, Any]:
    """``document`` as an object that has no other members than ``allowed``; raises InvalidRequest."""
    if not isinstance(document, dict):
        raise InvalidRequest(f"{what} must be a JSON object.")
    for name in document:
        if name not in allowed:
            raise InvalidRequest(f"{what} has no member {shown(name)}; it can have {', '.join(sorted(allowed))}.")
    return document


def list_of(name: str, value: Any) -> list[Any]:
    """``value`` as a list; raises InvalidRequest."""
    if not isinstance(value, list):
        raise InvalidRequest(f"{name} must be a list.")
    return value
