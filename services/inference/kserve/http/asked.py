"""A request for a prediction over HTTP: JSON, behind which binary data may lie.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from services.inference.errors import InvalidRequest
from services.inference.kserve.http.documents import json_object, list_of, members, parameters_of
from services.inference.kserve.http.values import from_json
from services.inference.kserve.parameters import (
    RequestOptions,
    WantedOutput,
    input_options,
    request_options,
    wanted_output,
)
from services.inference.kserve.shared_memory import Regions
from services.inference.tensors.codec import from_raw
from services.inference.tensors.errors import shown
from services.inference.tensors.model import Tensor

_MAX_CLIENT_ID = 255
_REQUEST = frozenset({"id", "parameters", "inputs", "outputs"})
_INPUT = frozenset({"name", "shape", "datatype", "parameters", "data"})
_OUTPUT = frozenset({"name", "parameters"})


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """A request for a prediction, read. ``wanted`` are the outputs that are asked for; none for all."""

    client_request_id: str
    options: RequestOptions
    inputs: Mapping[str, Tensor]
    wanted: Mapping[str, WantedOutput]


def asked_from_body(body: bytes, headers: Mapping[bytes, bytes], regions: Regions, caller: str) -> Asked:
    """What the body of a request for a prediction says.

    Raises:
        InvalidRequest, InvalidTensor, NotSupported, UnknownParameter, RegionNotFound: see kserve.convert.
    """
    length = _json_length(headers, len(body))
    document = json_object(body if length == len(body) else body[:length], _REQUEST)
    client_id = document.get("id", "")
    if not isinstance(client_id, str) or len(client_id) > _MAX_CLIENT_ID or "\0" in client_id:
        raise InvalidRequest(f"id must be a text of at most {_MAX_CLIENT_ID} characters, none of them NUL.")
    routing_key = headers.get(b"headwater-routing-key", b"").decode("latin-1")
    options = request_options(parameters_of("The request", document), routing_key=routing_key, http=True)
    wanted = [_wanted(each) for each in list_of("outputs", document.get("outputs", []))]
    names = {each.name: each for each in wanted}
    if len(names) != len(wanted):
        raise InvalidRequest("An output is asked for twice.")
    for each in wanted:
        if each.place is not None:
            regions.check(caller, each.place)
    inputs = _inputs(list_of("inputs", document.get("inputs", [])), memoryview(body[length:]), regions, caller)
    return Asked(client_id, options, inputs, names)


def _json_length(headers: Mapping[bytes, bytes], body_bytes: int) -> int:
    text = headers.get(b"inference-header-content-length")
    if text is None:
        return body_bytes
    if not text.isdigit() or len(text) > 18 or int(text) > body_bytes:
        raise InvalidRequest(
            f"Inference-Header-Content-Length must be the size of the JSON, at most {body_bytes} bytes; "
            f"it is {shown(text.decode('latin-1'))}."
        )
    return int(text)


def _inputs(documents: Sequence[Any], behind: memoryview, regions: Regions, caller: str) -> Mapping[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    position = 0
    for each in documents:
        document = members("An input", each, _INPUT)
        name, datatype, shape = document.get("name"), document.get("datatype"), document.get("shape")
        if not isinstance(name, str) or not isinstance(datatype, str):
            raise InvalidRequest("An input must have a name and a datatype.")
        if name in tensors:
            raise InvalidRequest(f"The input {shown(name)} comes twice.")
        if not isinstance(shape, list) or any(type(dimension) is not int for dimension in shape):
            raise InvalidRequest(f"{shown(name)}: shape must be a list of whole numbers.")
        options = input_options(parameters_of(shown(name), document), http=True)
        if options.place is None and options.binary_size is None:
            tensors[name] = from_json(name, datatype, shape, document.get("data"))
            continue
        if "data" in document:
            raise InvalidRequest(f"{shown(name)} has data, and its parameters say where else it is; use one of them.")
        if options.place is not None:
            tensors[name] = from_raw(name, datatype, shape, regions.read(caller, options.place))
            continue
        end = position + (options.binary_size or 0)
        if end > len(behind):
            raise InvalidRequest(
                f"{shown(name)}: binary_data_size is {options.binary_size}; "
                f"{len(behind) - position} bytes are left behind the JSON."
            )
        tensors[name] = _from_binary(name, datatype, shape, behind[position:end])
        position = end
    if position != len(behind):
        raise InvalidRequest(f"{len(behind) - position} bytes behind the JSON belong to no input.")
    return tensors


def _from_binary(name: str, datatype: str, shape: list[int], raw: memoryview) -> Tensor:
    tensor = from_raw(name, datatype, shape, bytes(raw) if datatype == "BYTES" else raw)
    if not tensor.array.flags.aligned:  # it lies behind one of another element size
        return dataclasses.replace(tensor, array=tensor.array.copy())
    return tensor


def _wanted(each: Any) -> WantedOutput:
    document = members("An output", each, _OUTPUT)
    name = document.get("name")
    if not isinstance(name, str):
        raise InvalidRequest("An output that is asked for must have a name.")
    return wanted_output(name, parameters_of(shown(name), document), http=True)
