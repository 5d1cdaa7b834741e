"""A parity record as JSON, the form in which it is a file of a model version.

    {"format": "headwater.parity/1", "pipeline": "sha256:…", "environment": {…}, "tolerance": {…},
     "samples": [{"inputs": [<tensor>], "prepared": "sha256:…", "outputs": [<tensor>]}]}

A tensor is ``{"name", "datatype", "shape", "data"}``: the bytes in row-major order, little-endian, in base64; of BYTES
``"elements"`` is a list of byte strings in base64 instead.
"""

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

import numpy as np

from headwater.parity.errors import ParityInvalid
from headwater.parity.model import Parity, Sample, Tolerance
from headwater.parity.words import MAX_BYTES, MAX_SAMPLES
from headwater.tensors import NUMPY_TYPES, Tensor, byte_strings, to_raw

FORMAT: Final = "headwater.parity/1"
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}|")
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")  # JSON's escapes can say them; no message of gRPC takes them
_MAX_RANK: Final = 32
_KINDS: Final[Mapping[type, str]] = {dict: "an object", list: "a list", str: "text"}


def write(parity: Parity) -> bytes:
    """The document; the same for the same record.

    Raises:
        ParityInvalid: it would be larger than ``MAX_BYTES``.
    """
    value = {
        "format": FORMAT,
        "pipeline": parity.pipeline,
        "environment": dict(parity.environment),
        "tolerance": {"absolute": parity.tolerance.absolute, "relative": parity.tolerance.relative},
        "samples": [
            {
                "inputs": [_tensor_to_json(tensor) for tensor in sample.inputs],
                "prepared": sample.prepared,
                "outputs": [_tensor_to_json(tensor) for tensor in sample.outputs],
            }
            for sample in parity.samples
        ],
    }
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    if len(text) > MAX_BYTES:
        raise ParityInvalid(
            f"The parity record has {len(text):,} bytes; at most {MAX_BYTES:,} are kept. Give fewer or smaller samples."
        )
    return text


def read(text: bytes) -> Parity:
    """The record that ``text`` holds.

    Raises:
        ParityInvalid: it is none; the text says where.
    """
    if len(text) > MAX_BYTES:
        raise ParityInvalid(f"A parity record has at most {MAX_BYTES:,} bytes; this has {len(text):,}.")
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ParityInvalid("A parity record is JSON in UTF-8; this is not.") from error
    told = _object("record", value, ("format", "pipeline", "environment", "tolerance", "samples"))
    if told["format"] != FORMAT:
        raise ParityInvalid(f"format: must be {FORMAT}.", field="format")
    environment = _typed("environment", told["environment"], dict)
    for key, each in environment.items():
        _typed("environment", key, str)
        _typed(f"environment.{key}", each, str)
    samples = _typed("samples", told["samples"], list)
    if len(samples) > MAX_SAMPLES:
        raise ParityInvalid(f"samples: at most {MAX_SAMPLES}.", field="samples")
    return Parity(
        tuple(_sample(f"samples[{index}]", sample) for index, sample in enumerate(samples)),
        _digest("pipeline", told["pipeline"]),
        environment,
        _tolerance(told["tolerance"]),
    )


def _sample(path: str, value: object) -> Sample:
    told = _object(path, value, ("inputs", "prepared", "outputs"))
    return Sample(
        _tensors(f"{path}.inputs", told["inputs"]),
        _digest(f"{path}.prepared", told["prepared"]),
        _tensors(f"{path}.outputs", told["outputs"]),
    )


def _tolerance(value: object) -> Tolerance:
    told = _object("tolerance", value, ("absolute", "relative"))
    for key, number in told.items():
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise ParityInvalid(f"tolerance.{key}: must be a number.", field="tolerance")
    return Tolerance(told["absolute"], told["relative"])


def _tensors(path: str, value: object) -> tuple[Tensor, ...]:
    return tuple(_tensor(f"{path}[{index}]", each) for index, each in enumerate(_typed(path, value, list)))


def _tensor(path: str, value: object) -> Tensor:
    content = "elements" if isinstance(value, dict) and value.get("datatype") == "BYTES" else "data"
    told = _object(path, value, ("name", "datatype", "shape", content))
    name, datatype = _typed(f"{path}.name", told["name"], str), _typed(f"{path}.datatype", told["datatype"], str)
    if datatype not in NUMPY_TYPES:
        raise ParityInvalid(f"{path}.datatype: must be one of {', '.join(NUMPY_TYPES)}.", field=path)
    shape = _shape(f"{path}.shape", told["shape"])
    if content == "elements":
        elements = _typed(f"{path}.elements", told["elements"], list)
        array = byte_strings(_decoded(f"{path}.elements[{index}]", each) for index, each in enumerate(elements))
    else:
        raw, dtype = _decoded(f"{path}.data", told["data"]), NUMPY_TYPES[datatype]
        if len(raw) % dtype.itemsize:
            raise ParityInvalid(f"{path}.data: {len(raw)} bytes are no whole number of {datatype}.", field=path)
        array = np.frombuffer(raw, dtype)
    if array.size != math.prod(shape):
        raise ParityInvalid(f"{path}: shape {shape} takes {math.prod(shape)} elements; {array.size} are there.")
    try:
        return Tensor(name, datatype, array.reshape(shape))
    except ValueError as error:  # of no elements, but for one 0 of more than there can be
        raise ParityInvalid(f"{path}.shape: {shape} is too large.", field=path) from error


def _tensor_to_json(tensor: Tensor) -> dict[str, Any]:
    told = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.array.shape)}
    if tensor.datatype == "BYTES":
        return {**told, "elements": [base64.b64encode(element).decode() for element in tensor.array.flat]}
    return {**told, "data": base64.b64encode(to_raw(tensor)).decode()}


def _shape(path: str, value: object) -> list[int]:
    shape = _typed(path, value, list)
    if len(shape) > _MAX_RANK or not all(type(size) is int and 0 <= size < 2**31 for size in shape):
        raise ParityInvalid(f"{path}: must be at most {_MAX_RANK} whole numbers.", field=path)
    return shape  # type: ignore[no-any-return]


def _decoded(path: str, value: object) -> bytes:
    try:
        return base64.b64decode(_typed(path, value, str), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ParityInvalid(f"{path}: must be base64.", field=path) from error


def _digest(path: str, value: object) -> str:
    digest: str = _typed(path, value, str)
    if not _DIGEST.fullmatch(digest):
        raise ParityInvalid(f"{path}: must be sha256: and 64 hex digits, or empty.", field=path)
    return digest


def _object(path: str, value: object, keys: Sequence[str]) -> Mapping[str, Any]:
    told: Mapping[str, Any] = _typed(path, value, dict)
    if told.keys() != set(keys):
        raise ParityInvalid(f"{path}: must have the keys {', '.join(keys)} and no others.", field=path)
    return told


def _typed(path: str, value: object, kind: type) -> Any:
    if not isinstance(value, kind):
        raise ParityInvalid(f"{path}: must be {_KINDS[kind]}.", field=path)
    if isinstance(value, str) and not value.isascii() and _LONE_SURROGATE.search(value):
        raise ParityInvalid(f"{path}: must be text that UTF-8 can say.", field=path)
    return value


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")
