"""ModelInferRequest to tensors, tensors to ModelInferResponse."""

from collections.abc import Mapping
from typing import Any

from tritonclient.grpc import service_pb2

from services.inference.errors import InvalidRequest, NotSupported, UnknownParameter
from services.inference.predictor import Prediction
from services.inference.tensors.codec import from_raw, from_values, to_raw
from services.inference.tensors.errors import InvalidTensor, shown
from services.inference.tensors.model import Tensor

REQUEST_ID_PARAMETER = "headwater_request_id"
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
_NOT_SUPPORTED = {
    "sequence_id": "Stateful models are not served: send requests without a sequence.",
    "sequence_start": "Stateful models are not served: send requests without a sequence.",
    "sequence_end": "Stateful models are not served: send requests without a sequence.",
    "priority": "Requests have no priorities here; leave the parameter out.",
    "classification": "Classes are not looked up here: ask for the output and rank it yourself.",
    "shared_memory_region": "Shared memory is not supported: send tensors in the messages.",
    "shared_memory_byte_size": "Shared memory is not supported: send tensors in the messages.",
    "shared_memory_offset": "Shared memory is not supported: send tensors in the messages.",
}


def tensors_from_proto(request: Any) -> Mapping[str, Tensor]:
    """The inputs by name.

    Raises:
        InvalidRequest: an input comes twice, or contents come both typed and raw.
        InvalidTensor: a tensor contradicts itself.
        NotSupported, UnknownParameter: an input has parameters.
    """
    raw = request.raw_input_contents
    inputs = request.inputs
    if raw and len(raw) != len(inputs):
        raise InvalidRequest(f"raw_input_contents must have one entry per input, {len(inputs)}; it has {len(raw)}.")
    tensors: dict[str, Tensor] = {}
    for position, tensor in enumerate(inputs):
        name = tensor.name
        if name in tensors:
            raise InvalidRequest(f"The input {shown(name)} comes twice.")
        if tensor.parameters:
            refuse_parameters(tensor.parameters)
        if not raw:
            tensors[name] = _from_contents(tensor)
        elif tensor.HasField("contents"):
            raise InvalidRequest(f"{shown(name)} has contents, and raw_input_contents is used too; use one of them.")
        else:
            tensors[name] = from_raw(name, tensor.datatype, tensor.shape, raw[position])
    return tensors


def timeout_from_proto(request: Any) -> float | None:
    """The request's own ``timeout`` in seconds (the protocol has microseconds); None if there is none.

    Raises:
        NotSupported, UnknownParameter, InvalidRequest: another parameter is there, or it is no time.
    """
    if len(request.id) > _MAX_CLIENT_ID:
        raise InvalidRequest(f"id may have {_MAX_CLIENT_ID} characters; it has {len(request.id)}.")
    if not request.parameters:
        return None
    refuse_parameters({name for name in request.parameters if name != "timeout"})
    timeout = request.parameters["timeout"]
    kind = timeout.WhichOneof("parameter_choice")
    if kind not in ("int64_param", "uint64_param") or getattr(timeout, kind) <= 0:
        raise InvalidRequest("The parameter timeout must be a positive whole number of microseconds.")
    return int(getattr(timeout, kind)) / 1e6


def output_names_from_proto(request: Any) -> list[str]:
    """The outputs that are asked for; none means all.

    Raises:
        NotSupported, UnknownParameter: one is asked for with parameters.
    """
    for output in request.outputs:
        if output.parameters:
            refuse_parameters(output.parameters)
    return [output.name for output in request.outputs]


def response_to_proto(prediction: Prediction, client_request_id: str) -> Any:
    """The answer; outputs travel raw."""
    loaded = prediction.loaded
    response = service_pb2.ModelInferResponse(
        model_name=loaded.deployment.served_name, model_version=loaded.version_number, id=client_request_id
    )
    response.parameters[REQUEST_ID_PARAMETER].string_param = prediction.request_id
    for tensor in prediction.outputs:
        response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.array.shape)
        response.raw_output_contents.append(to_raw(tensor))
    return response


def refuse_parameters(names: Any) -> None:
    """Go on if there are none.

    Raises:
        NotSupported: one belongs to a part of the protocol that is not served.
        UnknownParameter: one is not known at all.
    """
    for name in sorted(names):
        if name in _NOT_SUPPORTED:
            raise NotSupported(_NOT_SUPPORTED[name], parameter=name)
        raise UnknownParameter(f"There is no parameter {shown(name)} here; the request parameter timeout is known.")


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
