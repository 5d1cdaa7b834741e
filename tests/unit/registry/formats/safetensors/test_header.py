"""The safetensors reader takes what the format allows and nothing else."""

import contextlib
import json
import math
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from safetensors.numpy import save

from services.registry.formats import Format, InvalidModelFile
from services.registry.formats.content import MemoryContent, RangedContent
from services.registry.formats.detect import read
from services.registry.formats.safetensors.entries import parse
from services.registry.formats.safetensors.usual import parse_usual
from tests.data.models.safetensors_files import REFUSED, entry, safetensors, with_header

_DTYPES = {
    "FP32": np.float32,
    "FP16": np.float16,
    "FP64": np.float64,
    "INT64": np.int64,
    "UINT8": np.uint8,
    "BOOL": bool,
}

_ARRAYS = st.dictionaries(
    st.text(min_size=1, max_size=10).filter(lambda name: name != "__metadata__" and "\0" not in name),
    st.builds(
        lambda datatype, shape: np.arange(math.prod(shape)).reshape(shape).astype(_DTYPES[datatype]),
        st.sampled_from(sorted(_DTYPES)),
        st.lists(st.integers(0, 4), max_size=3),
    ),
    max_size=5,
)


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


@given(_ARRAYS)
def test_every_tensor_lies_where_it_is_said_to(arrays: dict[str, np.ndarray[Any, Any]]) -> None:
    """R-16: one tensor can be fetched by range."""
    assume(arrays)
    content = save(arrays)
    for tensor in read(MemoryContent(content)).tensors:
        assert content[tensor.begin : tensor.end] == arrays[tensor.name].tobytes()


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


@pytest.mark.parametrize("content", REFUSED.values(), ids=REFUSED)
def test_what_breaks_a_rule_is_refused_with_a_sentence(content: Callable[[], bytes]) -> None:
    """X-12, promise 12."""
    with pytest.raises(InvalidModelFile, match=r"^Not a valid safetensors file: .+\.$"):
        read(MemoryContent(content()))


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


@pytest.mark.parametrize("where", ["in a name", "in a property", "in many names"])
def test_one_character_of_four_bytes_does_not_blow_up_a_large_header(where: str) -> None:
    """Promise 8: as one text, a header of 100 MB with one such character would take 400 MB, and 300 more on its way."""
    tensors: dict[str, Any] = {f"w{number}": entry(offsets=(4 * number, 4 * number + 4)) for number in range(3)}
    if where == "in a name":
        tensors["\U0001f600"] = entry(offsets=(12, 16))
    elif where == "in a property":
        tensors = {"__metadata__": {"k": "\U0001f600" * 1000}, **tensors}
    else:
        tensors = {f"\U0001f600é{number}": entry(shape=(0,), offsets=(0, 0)) for number in range(2000)}
    end = max(each["data_offsets"][1] for name, each in tensors.items() if name != "__metadata__")
    content = with_header(json.dumps(tensors, ensure_ascii=False) + " " * (30 * 2**20), bytes(end))
    tracemalloc.start()
    facts = read(MemoryContent(content))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert {tensor.name for tensor in facts.tensors} == {name for name in tensors if name[0] != "_"}
    assert peak < 8 * 2**20


def test_an_entry_that_ends_within_a_character_of_the_part_that_is_decoded_is_read() -> None:
    for length in range(450, 520):
        name = "é" * (length // 2) + "a" * (length % 2) + "\U0001f600"
        unusual = json.dumps({name: entry()}, ensure_ascii=False, indent=1)
        facts = read(MemoryContent(with_header(unusual, bytes(4))))
        assert [tensor.name for tensor in facts.tensors] == [name]


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


@pytest.mark.parametrize(
    "tensors", [{"a": entry()}, {"a": entry(), "b": entry(offsets=(4, 8)), "__metadata__": {"k": "v"}}]
)
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" ,\n", "\t: ")])
def test_spaces_change_nothing(tensors: dict[str, Any], separators: tuple[str, str]) -> None:
    size = 4 * sum(name != "__metadata__" for name in tensors)
    facts = read(MemoryContent(with_header(json.dumps(tensors, separators=separators) + "   ", bytes(size))))
    assert [tensor.name for tensor in facts.tensors] == [name for name in tensors if name != "__metadata__"]
    assert [tensor.end - tensor.begin for tensor in facts.tensors] == [4] * len(facts.tensors)


@given(st.data())
def test_what_is_parsed_at_once_is_what_is_parsed_entry_by_entry(data: st.DataObject) -> None:
    content = bytearray(save(data.draw(_ARRAYS), metadata=data.draw(st.none() | st.just({"k": "v"}))))
    assume(len(content) > 10)
    for _ in range(data.draw(st.integers(0, 2))):
        content[data.draw(st.integers(8, len(content) - 1))] = data.draw(st.sampled_from(b'",:{}[]0189aF \\'))
    data_begin = 8 + int.from_bytes(content[:8], "little")
    header = content[8:data_begin].decode(errors="replace")
    usual = parse_usual(header, data_begin, len(content))
    if usual is not None:
        strict = parse(memoryview(header.encode()), data_begin, len(content))
        assert sorted(usual.tensors) == sorted(strict.tensors)
        assert usual.properties == strict.properties


def test_what_the_reference_writes_is_parsed_at_once() -> None:
    content = save(
        {f"layers.{number}": np.zeros((2, 3), np.float32) for number in range(50)}, metadata={"format": "np"}
    )
    data_begin = 8 + int.from_bytes(content[:8], "little")
    assert parse_usual(content[8:data_begin].decode(), data_begin, len(content)) is not None


def test_of_a_file_elsewhere_only_the_header_is_fetched() -> None:
    """R-16: what it costs does not grow with the file."""
    size = 10 * 2**30
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}})
    beginning = with_header(header)
    fetched = []

    def fetch(begin: int, length: int) -> bytes:
        fetched.append(length)
        return beginning[begin : begin + length].ljust(length, b"\0")

    facts = read(RangedContent(len(beginning) + size, fetch))
    assert facts.tensors[0].end == len(beginning) + size
    assert fetched == [RangedContent.BLOCK_BYTES]
