"""The index of a model whose tensors are in several safetensors files is read, and held against these files."""

import contextlib
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registry.formats import FileFacts, Format, InvalidModelFile
from services.registry.formats.content import MemoryContent
from services.registry.formats.detect import read
from services.registry.formats.safetensors.index import check_index
from tests.data.models.safetensors_files import REFUSED_INDEXES, index, safetensors

_FIRST, _SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
_FILES = {"a": _FIRST, "b": _FIRST, "c": _SECOND}


def _read(content: bytes) -> FileFacts:
    return read(MemoryContent(content))


@pytest.mark.parametrize("indent", [None, 2])
def test_an_index_tells_which_file_each_tensor_is_in(indent: int | None) -> None:
    """R-16: as transformers writes it."""
    facts = _read(json.dumps({"metadata": {"total_size": 12}, "weight_map": _FILES}, indent=indent).encode())
    assert facts.format is Format.SAFETENSORS_INDEX
    assert facts.tensor_files == _FILES
    assert [(each.location, each.end) for each in facts.external] == [(_FIRST, 0), (_SECOND, 0)]
    assert facts.properties == {"total_size": "12"}
    assert facts.parameter_count == 0  # they are counted where they are


def test_an_index_of_other_files_is_none_of_safetensors() -> None:
    assert _read(index({"a": "pytorch_model-00001-of-00002.bin"})).format is Format.UNSPECIFIED


@pytest.mark.parametrize("content", REFUSED_INDEXES.values(), ids=REFUSED_INDEXES)
def test_what_breaks_a_rule_is_refused_with_a_sentence(content: Any) -> None:
    with pytest.raises(InvalidModelFile, match=r"^Not a valid index of safetensors: .+\.$"):
        _read(content())


def _version(**shards: bytes) -> Mapping[str, FileFacts]:
    contents = {"m/index.json": index(_FILES), f"m/{_FIRST}": shards["first"], f"m/{_SECOND}": shards["second"]}
    return {path: _read(content) for path, content in contents.items() if content}


@pytest.mark.parametrize(
    ("first", "second", "wrong"),
    [
        (safetensors(a=(1,), b=(1,)), safetensors(c=(1,)), ""),
        (safetensors(a=(1,), b=(1,), unused=(1,)), safetensors(c=(1,)), ""),
        (safetensors(a=(1,)), safetensors(c=(1,)), f"says that 'b' is in m/{_FIRST}; it is not"),
        (safetensors(a=(1,), b=(1,)), safetensors(b=(1,), c=(1,)), "holds 'b', which by m/index.json is in another"),
        (safetensors(a=(1,), b=(1,)), b"", f"names m/{_SECOND}, which is no safetensors file"),
        (safetensors(a=(1,), b=(1,)), b"text", f"names m/{_SECOND}, which is no safetensors file"),
    ],
)
def test_the_index_is_held_against_its_files(first: bytes, second: bytes, wrong: str) -> None:
    facts = _version(first=first, second=second)
    told = check_index("m/index.json", facts["m/index.json"], facts)
    assert wrong in told
    assert bool(told) == bool(wrong)


@given(st.data())
def test_a_changed_index_is_read_or_refused(data: st.DataObject) -> None:
    content = bytearray(index(_FILES))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(InvalidModelFile):
        _read(bytes(content[: data.draw(st.integers(0, len(content)))]))
