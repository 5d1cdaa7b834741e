"""ModelInferRequest to tensors, tensors to ModelInferResponse."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tritonclient.grpc import service_pb2

from services.inference.errors import InvalidRequest
from services.inference.kserve.classes import highest
from services.inference.kserve.parameters import (
    NO_WISHES,
    NOTHING_SAID,
    Place,
    RequestOptions,
    Value,
    WantedOutput,
    input_options,
    region_parameters,
    request_options,
    wanted_output,
)
from services.inference.kserve.shared_memory import Region, Regions
from services.inference.kserve.wire import Asked, Told
from services.inference.predictor import Prediction
from services.inference.tensors.codec import from_raw, from_values, raw_view
from services.inference.tensors.errors import InvalidTensor, shown
from services.inference.tensors.model import Tensor

REQUEST_ID_PARAMETER = "headwater_request_id"
VARIANT_PARAMETER = "headwater_variant"
FALLBACK_PARAMETER = "headwater_fallback"
ROUTING_KEY = "headwater-routing-key"
_MAX_CLIENT_ID = 255

# Where each element type lies in InferTensorContents. FP16 and BF16 have no place there and always travel raw.
_CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def tensors_from_proto(asked: Asked, regions: Regions, caller: str) -> Mapping[str, Tensor]:
    """The inputs by name; those in shared memory are copied out of the regions of ``caller``.

    Raises:
        InvalidRequest: an input comes twice, or contents come both typed and raw.
        InvalidTensor: a tensor contradicts itself.
        NotSupported, UnknownParameter: an input has parameters that are not served.
        RegionNotFound: an input is in a region that is not registered.
    """
    raw, inputs = asked.raw, asked.message.inputs
    tensors: dict[str, Tensor] = {}
    position = 0
    for tensor in inputs:
        name = tensor.name
        if name in tensors:
            raise InvalidRequest(f"The input {shown(name)} comes twice.")
        if tensor.parameters and (place := input_options(parameters_from_proto(tensor)).place) is not None:
            if tensor.HasField("contents"):
                raise InvalidRequest(f"{shown(name)} has contents and is in shared memory; use one of them.")
            tensors[name] = from_raw(name, tensor.datatype, tensor.shape, regions.read(caller, place))
        elif not raw:
            tensors[name] = _from_contents(tensor)
        elif tensor.HasField("contents"):
            # In words that programs for Triton look for.
            raise InvalidRequest(
                "The contents field must not be specified when using raw_input_contents for "
                f"{shown(name)} for model {shown(asked.message.model_name)}; use one of them."
            )
        else:
            if position < len(raw):
                tensors[name] = from_raw(name, tensor.datatype, tensor.shape, raw[position])
            position += 1
    if raw and len(raw) != position:
        raise InvalidRequest(f"raw_input_contents must have one entry per input, {position}; it has {len(raw)}.")
    return tensors


def options_from_proto(request: Any, metadata: Iterable[tuple[str, str | bytes]]) -> RequestOptions:
    """What the request says beside its tensors.

    Raises:
        NotSupported, UnknownParameter, InvalidRequest: see request_options; or the id is too long.
    """
    if len(request.id) > _MAX_CLIENT_ID:
        raise InvalidRequest(f"id may have {_MAX_CLIENT_ID} characters; it has {len(request.id)}.")
    routing_key = ""
    for key, value in metadata:
        if key == ROUTING_KEY:
            routing_key = str(value)
    if not request.parameters and not routing_key:
        return NOTHING_SAID
    return request_options(parameters_from_proto(request), routing_key=routing_key)


def outputs_from_proto(request: Any) -> tuple[Sequence[str], Mapping[str, WantedOutput]]:
    """The names of the outputs that are asked for, none meaning all, and how they are wanted if that is said.

    Raises:
        NotSupported, UnknownParameter, InvalidRequest: one is asked for with parameters that are not served.
    """
    wanted = {}
    for output in request.outputs:
        if output.parameters:
            wanted[output.name] = wanted_output(output.name, parameters_from_proto(output))
    return [output.name for output in request.outputs], wanted


def response_to_proto(
    prediction: Prediction,
    client_request_id: str,
    wanted: Mapping[str, WantedOutput] = NO_WISHES,
    keep: Callable[[Place, bytes], None] | None = None,
) -> Told:
    """The answer; outputs travel raw, or are given to ``keep`` where they are wanted in shared memory."""
    loaded = prediction.loaded
    response = service_pb2.ModelInferResponse(
        model_name=loaded.deployment.served_name, model_version=loaded.version_number, id=client_request_id
    )
    response.parameters[REQUEST_ID_PARAMETER].string_param = prediction.request_id
    for name, value in routing_parameters(prediction).items():
        response.parameters[name].string_param = value
    contents: list[bytes | memoryview] = []
    for tensor in prediction.outputs:
        wish = wanted.get(tensor.name)
        if wish is not None and wish.classes:
            tensor = highest(tensor, wish.classes, rows=loaded.signature.batchable)
        raw = raw_view(tensor)
        output = response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.array.shape)
        if wish is not None and wish.place is not None and keep is not None:
            keep(wish.place, bytes(raw))
            for name, said in region_parameters(wish.place, len(raw)).items():
                setattr(output.parameters[name], "string_param" if isinstance(said, str) else "int64_param", said)
            raw = b""  # clients find the others by counting, so it has its entry
        contents.append(raw)
    return Told(response, contents)


def routing_parameters(prediction: Prediction) -> Mapping[str, str]:
    """What an answer tells of how its question was routed: nothing where there was only one way."""
    told = {VARIANT_PARAMETER: prediction.variant, FALLBACK_PARAMETER: prediction.fallback}
    return {name: value for name, value in told.items() if value} if prediction.variant else {}


def parameters_from_proto(message: Any) -> Mapping[str, Value]:
    """The parameters of a request or of a tensor.

    Raises:
        InvalidRequest: one has no value.
    """
    values: dict[str, Value] = {}
    for name, parameter in message.parameters.items():
        kind = parameter.WhichOneof("parameter_choice")
        if kind is None:
            raise InvalidRequest(f"The parameter {shown(name)} has no value.")
        values[name] = getattr(parameter, kind)
    return values


def _from_contents(tensor: Any) -> Tensor:
    field = _CONTENTS.get(tensor.datatype)
    if field is None and tensor.datatype in ("FP16", "BF16"):
        raise InvalidTensor(f"{shown(tensor.name)}: {tensor.datatype} must come in raw_input_contents.")
    others = [descriptor.name for descriptor, _ in tensor.contents.ListFields() if descriptor.name != field]
    if field is not None and others:
        raise InvalidTensor(
            f"{shown(tensor.name)}: {tensor.datatype} must come in contents.{field}; contents.{others[0]} came."
        )
    values = getattr(tensor.contents, field) if field else ()
    return from_values(tensor.name, tensor.datatype, tensor.shape, values)


def repository_parameters_from_proto(request: Any) -> Mapping[str, Value | bytes]:
    """What a request to load or unload says beside the model's name."""
    values: dict[str, Value | bytes] = {}
    for name, parameter in request.parameters.items():
        kind = parameter.WhichOneof("parameter_choice")
        if kind is None:
            raise InvalidRequest(f"The parameter {shown(name)} has no value.")
        values[name] = getattr(parameter, kind)
    return values


def regions_to_proto(regions: Iterable[Region]) -> Any:
    """What is told of regions of shared memory."""
    response = service_pb2.SystemSharedMemoryStatusResponse()
    for region in regions:
        status = response.regions[region.name]
        status.name, status.key = region.name, region.key
        status.offset, status.byte_size = region.offset, region.size_bytes
    return response
