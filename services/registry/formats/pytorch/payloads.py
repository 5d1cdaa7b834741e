"""The weights and constants of an exported program: JSON says which member holds which, and in what shape."""

import json
from typing import Any

from services.registry.formats.facts import MAX_TENSORS, Tensor
from services.registry.formats.pickles.allowed import DTYPES
from services.registry.formats.pickles.findings import printable
from services.registry.formats.pytorch.archive import Archive
from services.registry.formats.pytorch.tensors import checked_shape, checked_sizes, invalid, placed

_MAX_JSON = 32 * 2**20
_MAX_VALUES = 3_000_000
_MAX_NAME = 1024
# torch/_export/serde/schema.py, ScalarType.
SCALAR_TYPES = {
    1: "uint8",
    2: "int8",
    3: "int16",
    4: "int32",
    5: "int64",
    6: "float16",
    7: "float32",
    8: "float64",
    9: "complex32",
    10: "complex64",
    11: "complex128",
    12: "bool",
    13: "bfloat16",
    28: "uint16",
    29: "float8_e4m3fn",
    30: "float8_e5m2",
    31: "float8_e4m3fnuz",
    32: "float8_e5m2fnuz",
    33: "float8_e8m0fnu",
    34: "uint32",
    35: "uint64",
}


def json_of(archive: Archive, name: str) -> Any:
    """The JSON in a member, if it is not so large that reading it would take much memory.

    Raises:
        InvalidModelFile
    """
    text = archive.read(name, _MAX_JSON)
    if sum(map(text.count, (b",", b"[", b"{"))) > _MAX_VALUES:
        raise invalid(f"{name} has more values than are read")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise invalid(f"{name} is not JSON") from error


def tensors(archive: Archive) -> tuple[list[Tensor], set[str]]:
    """Weights and constants by name, and the members that are nothing but their bytes.

    Raises:
        InvalidModelFile: one is not where it should be, or has another size.
    """
    found: dict[str, Tensor] = {}
    raw: set[str] = set()
    pickled: set[str] = set()
    for config in list(archive.names()):
        folder, _, last = config.rpartition("/")
        if folder not in ("data/weights", "data/constants") or not last.endswith("_config.json"):
            continue
        for name, payload in of(of(json_of(archive, config)).get("config")).items():
            path, tensor = _payload(archive, folder, printable(name, _MAX_NAME), of(payload))
            if tensor is not None:
                found.setdefault(tensor.name, tensor)
            is_raw = tensor is not None and not of(payload).get("use_pickle")
            (raw if is_raw else pickled).add(path)
        if len(found) > MAX_TENSORS:
            raise invalid(f"it has more than {MAX_TENSORS} tensors")
    return list(found.values()), raw - pickled


def _payload(archive: Archive, folder: str, name: str, payload: dict[str, Any]) -> tuple[str, Tensor | None]:
    path = f"{folder}/{payload.get('path_name')}"
    member = archive.member(path)
    if member is None:
        raise invalid(f"{path[:255]} is not there")
    meta = payload.get("tensor_meta")
    if meta is None:
        return path, None  # an object
    shape = checked_shape([_number(each) for each in _list(of(meta).get("sizes"))])
    strides = checked_sizes([_number(each) for each in _list(of(meta).get("strides"))])
    offset = _number(of(meta).get("storage_offset"))
    datatype, item_size = datatype_of(of(meta).get("dtype"))
    if payload.get("use_pickle"):
        return path, Tensor(name, datatype, shape)
    begin = member.begin if archive.is_little and not member.compressed else -1
    return path, placed(Tensor(name, datatype, shape), strides, offset, item_size, begin, member.size)


def datatype_of(scalar_type: Any) -> tuple[str, int]:
    """The type in Open Inference Protocol notation, and an element's bytes, of a ``ScalarType``."""
    if not isinstance(scalar_type, int) or scalar_type not in SCALAR_TYPES:
        raise invalid(f"there is no type {str(scalar_type)[:32]}")
    return DTYPES[SCALAR_TYPES[scalar_type]]


def of(value: Any) -> dict[str, Any]:
    """The value, which must be an object."""
    if not isinstance(value, dict):
        raise invalid("its JSON has something else where an object should be")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise invalid("its JSON has something else where a list should be")
    return value


def _number(value: Any) -> Any:
    """The number in a ``SymInt``; what it is otherwise is refused by whoever needs a size."""
    return of(value).get("as_int")
