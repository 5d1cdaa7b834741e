"""The safetensors reader takes what the format allows and nothing else."""

import contextlib
import json
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from safetensors.numpy import save

from services.registry.formats import Format, InvalidModelFile
from services.registry.formats.content import MemoryContent
from services.registry.formats.detect import read
from tests.data.models.safetensors_files import safetensors, with_header, with_length

_DTYPES = {
    "FP32": np.float32,
    "FP16": np.float16,
    "FP64": np.float64,
    "INT64": np.int64,
    "UINT8": np.uint8,
    "BOOL": bool,
}


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=20).filter(lambda name: name != "__metadata__" and "\0" not in name),
        st.tuples(st.sampled_from(sorted(_DTYPES)), st.lists(st.integers(0, 5), max_size=4)),
        max_size=6,
    ),
    st.dictionaries(st.text(max_size=10), st.text(max_size=10), max_size=3),
)
def test_what_the_reference_writes_is_read(tensors: dict[str, tuple[str, list[int]]], metadata: dict[str, str]) -> None:
    """R-16, against the published implementation as the oracle."""
    assume(tensors or metadata)  # safetensors 0.8 writes what it cannot read when there is neither
    arrays = {name: np.zeros(shape, _DTYPES[datatype]) for name, (datatype, shape) in tensors.items()}
    facts = read(MemoryContent(save(arrays, metadata=metadata)))
    assert facts.format is Format.SAFETENSORS
    told = {tensor.name: (tensor.datatype, list(tensor.shape)) for tensor in facts.tensors}
    assert told == {name: (datatype, shape) for name, (datatype, shape) in tensors.items()}
    assert facts.properties == {key: text for key, text in metadata.items() if "\0" not in key + text}


def test_counters_and_masks_are_no_parameters() -> None:
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "w": np.zeros((2, 3), np.float32),
        "steps": np.zeros(7, np.int64),
        "mask": np.zeros(5, np.bool_),
    }
    assert read(MemoryContent(save(arrays))).parameter_count == 6


def test_a_header_length_that_begins_with_08_is_no_onnx() -> None:
    """X-13: one safetensors file in 32 begins like an ONNX model does."""
    content = with_header(json.dumps({"__metadata__": {"pad": ""}}).replace('""', f'"{"x" * (0x108 - 29)}"'))
    assert content[0] == 0x08
    assert read(MemoryContent(content)).format is Format.SAFETENSORS


def _tensor(dtype: Any = "F32", shape: Any = (1,), offsets: Any = (0, 4)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


_ATTACKS = {
    "header longer than the file": with_length(1000, "{}"),
    "header over 100 MB": with_length(100_000_001, "{}"),
    "header length of 2^64 - 1": with_length(2**64 - 1, '{"a":1}'),
    "cut in the data": safetensors(a=(4,))[:-1],
    "data left over": safetensors(a=(4,)) + b"x",
    "overlap": with_header({"a": _tensor(), "b": _tensor(offsets=(2, 6))}, bytes(6)),
    "hole": with_header({"a": _tensor(), "b": _tensor(offsets=(8, 12))}, bytes(12)),
    "begins after zero": with_header({"a": _tensor(offsets=(4, 8))}, bytes(8)),
    "end before begin": with_header({"a": _tensor(offsets=(4, 0))}, bytes(4)),
    "negative offset": with_header({"a": _tensor(offsets=(-4, 0))}),
    "size is not that of the shape": with_header({"a": _tensor(shape=(2,))}, bytes(4)),
    "shape that overflows": with_header({"a": _tensor(shape=(2**32, 2**32))}, bytes(4)),
    "shape that overflows to its size": with_header({"a": _tensor(shape=(2**62, 4, 2**62))}, bytes(4)),
    "negative dimension": with_header({"a": _tensor(shape=(-1,))}, bytes(4)),
    "dimension that is no whole number": with_header({"a": _tensor(shape=(1.0,))}, bytes(4)),
    "dimension that is true": with_header({"a": _tensor(shape=(True,))}, bytes(4)),
    "number of 5,000 digits": with_header('{"a":{"dtype":"F32","shape":[' + "9" * 5000 + '],"data_offsets":[0,4]}}'),
    "a thousand dimensions": with_header({"a": _tensor(shape=[1] * 1000)}, bytes(4)),
    "unknown dtype": with_header({"a": _tensor(dtype="Q8")}, bytes(4)),
    "dtype that is no text": with_header({"a": _tensor(dtype=["F32"])}, bytes(4)),
    "part of a byte": with_header({"a": _tensor(dtype="F4", shape=(1,), offsets=(0, 1))}, bytes(1)),
    "unknown member": with_header({"a": {**_tensor(), "x": 1}}, bytes(4)),
    "missing member": with_header({"a": {"dtype": "F32", "shape": [1]}}, bytes(4)),
    "three offsets": with_header({"a": _tensor(offsets=(0, 4, 4))}, bytes(4)),
    "a tensor that is a list": with_header({"a": [1]}),
    "tensor twice": with_header(f'{{"a":{json.dumps(_tensor())},"a":{json.dumps(_tensor())}}}', bytes(4)),
    "member twice": with_header('{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', bytes(4)),
    "metadata that is no text": with_header({"__metadata__": {"a": 1}}),
    "NaN": with_header('{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,4]}}', bytes(4)),
    "nested 10,000 deep": with_header('{"a":' + "[" * 10_000 + "]" * 10_000 + "}"),
    "not closed": with_header('{"a":'),
    "text after the object": with_header("{} x"),
    "two objects": with_header("{}{}"),
    "not UTF-8": (3).to_bytes(8, "little") + b'{"\xff',
    "name with NUL": with_header({"a\0b": _tensor()}, bytes(4)),
    "name of 2,000 characters": with_header({"a" * 2000: _tensor()}, bytes(4)),
    "entry of 100,000 characters": with_header({"a": {**_tensor(), "x" * 100_000: 1}}, bytes(4)),
}


@pytest.mark.parametrize("content", _ATTACKS.values(), ids=_ATTACKS)
def test_what_breaks_a_rule_is_refused_with_a_sentence(content: bytes) -> None:
    with pytest.raises(InvalidModelFile, match=r"^Not a valid safetensors file: .+\.$"):
        read(MemoryContent(content))


def test_a_header_of_too_many_tensors_is_refused() -> None:
    entry = '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    content = with_header("{" + ",".join(f'"{number}":{entry}' for number in range(100_001)) + "}")
    with pytest.raises(InvalidModelFile, match="more than 100000 tensors"):
        read(MemoryContent(content))


@pytest.mark.parametrize("bomb", ["[[]" + ",[]" * 3_000_000 + "]", '{"dtype":"' + "F" * 10_000_000 + '"}'])
def test_a_header_that_would_blow_up_is_refused_in_little_memory(bomb: str) -> None:
    """Promise 8: memory follows the text, not what JSON could make of it (here 200 MB of empty lists)."""
    content = with_header(f'{{"a":{bomb}}}')
    tracemalloc.start()
    with pytest.raises(InvalidModelFile, match="not JSON, or too long a part of it"):
        read(MemoryContent(content))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * len(content)


@given(st.binary(max_size=64))
def test_any_header_is_read_or_refused(noise: bytes) -> None:
    content = memoryview(len(noise).to_bytes(8, "little") + b"{" + noise[1:])
    try:
        facts = read(MemoryContent(content))
    except InvalidModelFile:
        return
    assert facts.format in (Format.SAFETENSORS, Format.UNSPECIFIED)


@given(st.integers(0, 300), st.integers(0, 255))
def test_a_changed_byte_never_escapes_as_another_error(position: int, byte: int) -> None:
    content = bytearray(safetensors(weight=(3, 4), bias=(4,)))
    content[position % len(content)] = byte
    with contextlib.suppress(InvalidModelFile):
        read(MemoryContent(bytes(content)))
