"""Features that are tensors, as requests of the Open Inference Protocol (KServe v2)."""

import math
from collections.abc import Sequence
from typing import Any, Final

from headwater.errors import InvalidArgument

DATATYPES: Final = {
    **{f"float{bits}": f"FP{bits}" for bits in (16, 32, 64)},
    **{f"int{bits}": f"INT{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"UINT{bits}" for bits in (8, 16, 32, 64)},
    "bool": "BOOL",
    "string": "BYTES",
}
_KINDS: Final = {"FP": "number", "IN": "integer", "UI": "integer", "BO": "boolean", "BY": "string"}


class InvalidFeature(InvalidArgument):
    """A feature is not described as `{name, type, shape}`."""

    reason = "FEATURE_INVALID"


def request(features: Sequence[Any]) -> dict[str, Any]:
    """The JSON Schema of a request with these features, each `{name, type, shape}`; -1 is a dimension of any size.

    Raises:
        InvalidFeature: naming it.
    """
    if not features or len({str(feature) for feature in features}) != len(features):
        raise InvalidFeature("There must be features, and each once.", field="metadata.schema")
    return {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "inputs": {
                "type": "array",
                "minItems": len(features),
                "maxItems": len(features),
                "items": {"oneOf": [_input(feature, at) for at, feature in enumerate(features)]},
            },
        },
    }


def _input(feature: Any, at: int) -> dict[str, Any]:
    field = f"metadata.schema[{at}]"
    if not isinstance(feature, dict) or feature.keys() - {"name", "type", "shape"} or not feature.get("name"):
        raise InvalidFeature(f"{field} must be a mapping of name, type and shape.", field=field)
    written = str(feature.get("type", "")).lower()
    datatype = DATATYPES.get(written, written.upper())
    if datatype not in DATATYPES.values():
        raise InvalidFeature(f"{field}.type must be one of {', '.join(DATATYPES)}.", field=f"{field}.type")
    shape = feature.get("shape", [])
    if not isinstance(shape, list) or not all(type(size) is int and size >= -1 for size in shape):
        raise InvalidFeature(f"{field}.shape must be a list of sizes, -1 for any.", field=f"{field}.shape")
    return {
        "type": "object",
        "required": ["name", "datatype", "shape", "data"],
        "properties": {
            "name": {"const": str(feature["name"])},
            "datatype": {"const": datatype},
            "shape": _shape(shape),
            "data": _data(shape, _KINDS[datatype[:2]]),
        },
    }


def _shape(shape: Sequence[int]) -> dict[str, Any]:
    sizes = [{"type": "integer", "minimum": 0} if size < 0 else {"const": size} for size in shape]
    schema: dict[str, Any] = {"type": "array", "minItems": len(shape), "maxItems": len(shape)}
    return {**schema, "prefixItems": sizes} if sizes else schema


def _data(shape: Sequence[int], kind: str) -> dict[str, Any]:
    """A flat list of as many values, or the same nested as the protocol allows."""
    flat: dict[str, Any] = {"type": "array", "items": {"type": kind}}
    if all(size >= 0 for size in shape):
        count = math.prod(shape)
        flat |= {"minItems": count, "maxItems": count}
    nested: dict[str, Any] = {"type": kind}
    for size in reversed(shape):
        nested = {"type": "array", "items": nested}
        if size >= 0:
            nested |= {"minItems": size, "maxItems": size}
    return flat if len(shape) < 2 else {"anyOf": [flat, nested]}
