"""Requests and answers of HTTP: JSON, behind which binary data may lie, and the protocol's messages as JSON.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from services.inference.errors import InvalidRequest
from services.inference.kserve.classes import highest
from services.inference.kserve.convert import REQUEST_ID_PARAMETER, routing_parameters
from services.inference.kserve.http.values import from_json, to_json
from services.inference.kserve.parameters import (
    Parameters,
    Place,
    RequestOptions,
    WantedOutput,
    input_options,
    region_parameters,
    request_options,
    wanted_output,
)
from services.inference.kserve.shared_memory import Regions
from services.inference.predictor import Prediction
from services.inference.tensors.codec import from_raw, to_raw
from services.inference.tensors.errors import shown
from services.inference.tensors.model import Tensor

MAX_JSON_BYTES = 16 * 2**20
"""Of JSON in a request: it takes twenty times the memory once it is read, and long, while nobody else is answered."""

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
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("The body is not JSON in UTF-8.") from error
    return _members("The body", document, allowed)


def asked_from_body(body: bytes, headers: Mapping[bytes, bytes], regions: Regions, caller: str) -> Asked:
    """What the body of a request for a prediction says.

    Raises:
        InvalidRequest, InvalidTensor, NotSupported, UnknownParameter, RegionNotFound: see kserve.convert.
    """
    length = _json_length(headers, len(body))
    document = json_object(body if length == len(body) else body[:length], _REQUEST)
    client_id = document.get("id", "")
    if not isinstance(client_id, str) or len(client_id) > _MAX_CLIENT_ID:
        raise InvalidRequest(f"id must be a text of at most {_MAX_CLIENT_ID} characters.")
    routing_key = headers.get(b"headwater-routing-key", b"").decode("latin-1")
    options = request_options(parameters_of("The request", document), routing_key=routing_key, http=True)
    wanted = [_wanted(each) for each in _list("outputs", document.get("outputs", []))]
    names = {each.name: each for each in wanted}
    if len(names) != len(wanted):
        raise InvalidRequest("An output is asked for twice.")
    for each in wanted:
        if each.place is not None:
            regions.check(caller, each.place)
    inputs = _inputs(_list("inputs", document.get("inputs", [])), memoryview(body[length:]), regions, caller)
    return Asked(client_id, options, inputs, names)


def answer_to_body(
    prediction: Prediction, asked: Asked, keep: Callable[[Place, bytes], None]
) -> tuple[Sequence[bytes], bool]:
    """The answer: JSON, and behind it the outputs that are wanted binary; whether there are any.

    Raises:
        InvalidRequest: an output cannot be given as it is wanted.
    """
    loaded = prediction.loaded
    outputs, behind = [], []
    for tensor in prediction.outputs:
        wish = asked.wanted.get(tensor.name) or WantedOutput(tensor.name)
        if wish.classes:
            tensor = highest(tensor, wish.classes, rows=loaded.signature.batchable)
        told: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.array.shape}
        if wish.place is not None:
            raw = to_raw(tensor)
            keep(wish.place, raw)
            told["parameters"] = region_parameters(wish.place, len(raw))
        elif asked.options.binary_outputs if wish.binary is None else wish.binary:
            behind.append(to_raw(tensor))
            told["parameters"] = {"binary_data_size": len(behind[-1])}
        else:
            told["data"] = to_json(tensor)
        outputs.append(told)
    answer: dict[str, Any] = {"model_name": loaded.deployment.served_name, "model_version": loaded.version_number}
    if asked.client_request_id:
        answer["id"] = asked.client_request_id
    answer["parameters"] = {REQUEST_ID_PARAMETER: prediction.request_id, **routing_parameters(prediction)}
    answer["outputs"] = outputs
    return [json.dumps(answer, separators=(",", ":"), ensure_ascii=False).encode(), *behind], bool(behind)


def message_to_json(message: Any) -> dict[str, Any]:
    """A message of the protocol as Triton shows it: fields that are not set, too, and numbers as numbers."""
    told: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            told[field.name] = {key: _scalar_or_message(each) for key, each in value.items()}
        elif field.is_repeated:
            told[field.name] = [_told(field, each) for each in value]
        elif not field.has_presence or message.HasField(field.name):
            told[field.name] = _told(field, value)
    return told


def _told(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None:
        return message_to_json(value)
    return field.enum_type.values_by_number[value].name if field.enum_type is not None else value


def _scalar_or_message(value: Any) -> Any:
    return message_to_json(value) if hasattr(value, "DESCRIPTOR") else value


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
        document = _members("An input", each, _INPUT)
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
    document = _members("An output", each, _OUTPUT)
    name = document.get("name")
    if not isinstance(name, str):
        raise InvalidRequest("An output that is asked for must have a name.")
    return wanted_output(name, parameters_of(shown(name), document), http=True)


def parameters_of(what: str, document: Mapping[str, Any]) -> Parameters:
    """The parameters in a JSON object; raises InvalidRequest."""
    parameters = document.get("parameters", {})
    if not isinstance(parameters, dict):
        raise InvalidRequest(f"{what}: parameters must be an object.")
    for name, value in parameters.items():
        if not isinstance(value, bool | int | float | str):
            raise InvalidRequest(f"{what}: the parameter {shown(name)} must be a text, a number, true or false.")
    return parameters


def _members(what: str, document: Any, allowed: frozenset[str]) -> Mapping[str, Any]:
    if not isinstance(document, dict):
        raise InvalidRequest(f"{what} must be a JSON object.")
    for name in document:
        if name not in allowed:
            raise InvalidRequest(f"{what} has no member {shown(name)}; it can have {', '.join(sorted(allowed))}.")
    return document


def _list(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidRequest(f"{name} must be a list.")
    return value
