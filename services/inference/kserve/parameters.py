"""What requests and tensors may say beside their data, whichever protocol they came by. Nothing is ever ignored.

A parameter that is known does what docs/reference/open-inference-protocol.md says; any other is refused by its name.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from services.inference.errors import InvalidRequest, NotSupported, UnknownParameter
from services.inference.tensors.errors import shown

Value: TypeAlias = bool | int | float | str
Parameters: TypeAlias = Mapping[str, Value]

_MAX_ROUTING_KEY = 255
_LONGEST_TIMEOUT_US = 2**63 - 1  # as much as gRPC can say; JSON can say more than a float holds
_MAX_PRIORITY = 2**32 - 1
_SEQUENCES = "Stateful models are not served: send requests without a sequence."
_RAW = "Over gRPC tensors always travel raw; leave the parameter out."


@dataclasses.dataclass(frozen=True, slots=True)
class RequestOptions:
    """What a request says beside its tensors.

    Attributes:
        timeout_s: how long the client waits; None if it does not say.
        priority: 1 is answered before 2, and so on; 0 for no particular one.
        routing_key: requests with the same key go to the same version of a deployment that splits its traffic.
        return_features: whether the output ``features`` is wanted; None for what the model does by itself.
        binary_outputs: whether outputs that say nothing themselves come as binary data (HTTP).
        wants_final: whether the last answer to a request of a stream is to be marked as such.
    """

    timeout_s: float | None = None
    priority: int = 0
    routing_key: str = ""
    return_features: bool | None = None
    binary_outputs: bool = False
    wants_final: bool = False


NOTHING_SAID = RequestOptions()


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """A part of a shared memory region: ``size_bytes`` from ``offset`` on."""

    region: str
    offset: int
    size_bytes: int


@dataclasses.dataclass(frozen=True, slots=True)
class InputOptions:
    """Where an input's data is: in a region, or the next ``binary_size`` bytes behind the JSON (HTTP)."""

    place: Place | None = None
    binary_size: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class WantedOutput:
    """How an output is wanted: as it is or the ``classes`` highest of each row, in the answer or in a region."""

    name: str
    classes: int = 0
    binary: bool | None = None
    place: Place | None = None


NO_WISHES: Mapping[str, WantedOutput] = {}


def region_parameters(place: Place, size_bytes: int) -> Mapping[str, str | int]:
    """What is said of an output that was put into a region and took ``size_bytes`` there."""
    said: dict[str, str | int] = {"shared_memory_region": place.region, "shared_memory_byte_size": size_bytes}
    return {**said, "shared_memory_offset": place.offset} if place.offset else said


def request_options(parameters: Parameters, *, routing_key: str = "", http: bool = False) -> RequestOptions:
    """What the parameters of a request say; ``routing_key`` is the one from its headers.

    Raises:
        NotSupported: one belongs to a part of the protocol that is not served.
        UnknownParameter: one is not known at all.
        InvalidRequest: one has a value that it cannot have.
    """
    said: dict[str, Any] = {"routing_key": _routing_key(routing_key)}
    for name in sorted(parameters):
        known = _REQUEST.get(name) or (_HTTP_REQUEST if http else _GRPC_REQUEST).get(name)
        if known is None:
            raise _refused(name, http=http)
        field, read = known
        said[field] = read(parameters[name])
    if routing_key and said["routing_key"] != routing_key:
        raise InvalidRequest("The header headwater-routing-key and the parameter headwater_routing_key differ.")
    return RequestOptions(**said)


def input_options(parameters: Parameters, *, http: bool = False) -> InputOptions:
    """What the parameters of an input say; raises as :func:`request_options`."""
    binary_size = None
    for name in sorted(parameters):
        if name == "binary_data_size" and http:
            binary_size = _whole(name, parameters[name])
        elif name not in _PLACE:
            raise _refused(name, http=http)
    place = _place(parameters)
    if place is not None and binary_size is not None:
        raise InvalidRequest("An input is either in shared memory or behind the JSON; it has parameters for both.")
    return InputOptions(place, binary_size)


def wanted_output(name: str, parameters: Parameters, *, http: bool = False) -> WantedOutput:
    """What the parameters of an output that is asked for say; raises as :func:`request_options`."""
    classes, binary = 0, None
    for parameter in sorted(parameters):
        if parameter == "classification":
            classes = _whole(parameter, parameters[parameter], least=1)
        elif parameter == "binary_data" and http:
            binary = _boolean(parameter)(parameters[parameter])
        elif parameter not in _PLACE:
            raise _refused(parameter, http=http)
    return WantedOutput(name, classes, binary, _place(parameters))


def _place(parameters: Parameters) -> Place | None:
    if _PLACE.isdisjoint(parameters):
        return None
    region = parameters.get("shared_memory_region")
    if not isinstance(region, str) or not region or "shared_memory_byte_size" not in parameters:
        raise InvalidRequest("Shared memory needs shared_memory_region, a name, and shared_memory_byte_size.")
    size = _whole("shared_memory_byte_size", parameters["shared_memory_byte_size"])
    return Place(region, _whole("shared_memory_offset", parameters.get("shared_memory_offset", 0)), size)


def _whole(name: str, value: Value, *, least: int = 0, most: int = 2**63 - 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidRequest(f"The parameter {name} must be a whole number from {least} to {most}.")
    return value


def _timeout(value: Value) -> float:
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise InvalidRequest("The parameter timeout must be a positive whole number of microseconds.")
    return min(value, _LONGEST_TIMEOUT_US) / 1e6


def _boolean(name: str) -> Callable[[Value], bool]:
    def read(value: Value) -> bool:
        if not isinstance(value, bool):
            raise InvalidRequest(f"The parameter {name} must be true or false.")
        return value

    return read


def _routing_key(value: Value) -> str:
    if not isinstance(value, str) or len(value) > _MAX_ROUTING_KEY:
        raise InvalidRequest(f"A routing key is a text of at most {_MAX_ROUTING_KEY} characters.")
    return value


def _refused(name: str, *, http: bool) -> NotSupported | UnknownParameter:
    if name in _NOT_SUPPORTED:
        return NotSupported(_NOT_SUPPORTED[name], parameter=name)
    if name.startswith("binary_data") and not http:
        return NotSupported(_RAW, parameter=name)
    known = ", ".join(_REQUEST)
    return UnknownParameter(f"There is no parameter {shown(name)} here; the request parameters known are: {known}.")


_PLACE = frozenset({"shared_memory_region", "shared_memory_byte_size", "shared_memory_offset"})
_REQUEST: Mapping[str, tuple[str, Callable[[Value], Any]]] = {
    "timeout": ("timeout_s", _timeout),
    "priority": ("priority", lambda value: _whole("priority", value, most=_MAX_PRIORITY)),
    "headwater_routing_key": ("routing_key", _routing_key),
    "return_features": ("return_features", _boolean("return_features")),
}
_HTTP_REQUEST = {"binary_data_output": ("binary_outputs", _boolean("binary_data_output"))}
_GRPC_REQUEST = {"triton_enable_empty_final_response": ("wants_final", _boolean("triton_enable_empty_final_response"))}
_NOT_SUPPORTED = {
    "sequence_id": _SEQUENCES,
    "sequence_start": _SEQUENCES,
    "sequence_end": _SEQUENCES,
}
