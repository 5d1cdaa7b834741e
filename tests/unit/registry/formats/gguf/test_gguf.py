"""The GGUF reader takes the head of what llama.cpp's own writer writes, and nothing that is broken."""

import contextlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFReader
from hypothesis import given
from hypothesis import strategies as st

from services.registry.formats import FileFacts, Format, InvalidModelFile
from services.registry.formats.content import MemoryContent, RangedContent
from services.registry.formats.detect import read
from services.registry.formats.gguf.types import TYPES
from tests.data.models.gguf_files import REFUSED, UINT32, file, pair, small, tensor, written

_SPELLED = {"F32": "FP32", "F16": "FP16", "F64": "FP64", "I8": "INT8", "I16": "INT16", "I32": "INT32", "I64": "INT64"}


def _read(content: bytes) -> FileFacts:
    return read(MemoryContent(content))


def test_the_types_are_those_of_the_library() -> None:
    theirs = {kind.value: (_SPELLED.get(kind.name, kind.name), *sizes) for kind, sizes in GGML_QUANT_SIZES.items()}
    assert {number: tuple(TYPES[number]) for number in theirs if number in TYPES} == {
        number: each for number, each in theirs.items() if number in TYPES
    }
    assert set(TYPES) & set(theirs) == set(TYPES)


_ARRAYS = st.dictionaries(
    st.text("abc._01é", min_size=1, max_size=12),
    st.builds(
        lambda kind, shape: np.arange(int(np.prod(shape))).reshape(shape).astype(kind),
        st.sampled_from([np.float32, np.float16, np.float64, np.int8, np.int32, np.int64]),
        st.lists(st.integers(1, 4), min_size=1, max_size=3),
    ),
    min_size=1,
    max_size=4,
)


@given(_ARRAYS)
def test_what_the_library_writes_is_read_as_the_library_reads_it(arrays: dict[str, np.ndarray[Any, Any]]) -> None:
    """R-12, R-16: every tensor with its shape and place, against the published implementation as the oracle."""
    content = written(arrays)
    told = {each.name: each for each in _read(content).tensors}
    with tempfile.NamedTemporaryFile() as kept:
        Path(kept.name).write_bytes(content)
        theirs = {each.name: (each.data_offset, each.n_bytes) for each in GGUFReader(kept.name).tensors}
    assert {name: (each.begin, each.end - each.begin) for name, each in told.items()} == theirs
    for name, array in arrays.items():
        assert tuple(told[name].shape) == array.shape
        assert content[told[name].begin : told[name].end] == array.tobytes()


def test_the_pairs_are_told_and_arrays_only_counted() -> None:
    """R-12."""
    facts = _read(
        written(
            {"w": np.zeros((2, 3), np.float16)},
            "qwen3",
            general__name="Tiny",
            qwen3__block_count=4,
            qwen3__rope=0.5,
            tokenizer__ggml__add_bos_token=True,
            tokenizer__ggml__tokens=["a", "bc", "ä"] * 50_000,
            tokenizer__ggml__scores=[1.0, 2.0],
        )
    )
    assert facts.format is Format.GGUF
    assert facts.architecture == "qwen3"
    assert facts.properties == {
        "general.architecture": "qwen3",
        "general.name": "Tiny",
        "qwen3.block_count": "4",
        "qwen3.rope": "0.5",
        "tokenizer.ggml.add_bos_token": "true",
        "tokenizer.ggml.tokens": "150000 texts",
        "tokenizer.ggml.scores": "2 numbers",
    }
    assert facts.parameter_count == 6


@pytest.mark.parametrize("kind", [GGMLQuantizationType.Q4_K, GGMLQuantizationType.Q8_0, GGMLQuantizationType.BF16])
def test_quantized_tensors_count_by_their_elements(kind: GGMLQuantizationType) -> None:
    block, block_bytes = GGML_QUANT_SIZES[kind]
    packed = np.zeros((4, 512 // block * block_bytes), np.uint8)
    facts = _read(written({"w": (packed, kind)}))
    (told,) = facts.tensors
    assert (told.datatype, tuple(told.shape), told.end - told.begin) == (kind.name, (4, 512), packed.nbytes)
    assert facts.parameter_count == 2048


def test_a_part_of_a_split_model_says_so() -> None:
    properties = _read(written({"w": np.zeros(3, np.float32)}, split__no=1, split__count=3)).properties
    assert properties["split"] == "part 1, from 0, of 3"


def test_version_2_is_read_as_version_3() -> None:
    content = bytearray(small())
    facts = _read(bytes(content))
    content[4] = 2
    assert _read(bytes(content)) == facts


def test_another_alignment_moves_the_data() -> None:
    content = file((pair("general.alignment", UINT32, (4096).to_bytes(4, "little")),), (tensor(),), data=8192)
    assert [(each.begin, each.end) for each in _read(content).tensors] == [(4096, 4096 + 32)]


def test_a_type_of_a_later_version_is_told_without_a_place() -> None:
    (told,) = _read(file(tensors=(tensor(kind=99),), data=64)).tensors
    assert (told.datatype, told.begin, told.end) == ("GGML_99", -1, -1)


@pytest.mark.parametrize("attack", REFUSED)
def test_what_breaks_a_rule_is_refused_with_a_sentence(attack: str) -> None:
    """Promise 12."""
    why = {"big-endian": "byte order", "version 1": "version 1;", "tensors that overlap": "the offset 0, which"}
    with pytest.raises(InvalidModelFile, match=rf"^Not a valid GGUF file: .*{why.get(attack, '.')}.*\.$"):
        _read(REFUSED[attack]())


def test_of_a_file_elsewhere_only_the_head_is_fetched() -> None:
    size = 10 * 2**30
    beginning = file(tensors=(tensor(shape=(size // 4,)),))
    fetched = []

    def fetch(begin: int, length: int) -> bytes:
        fetched.append(length)
        return beginning[begin : begin + length].ljust(length, b"\0")

    assert read(RangedContent(len(beginning) + size, fetch)).parameter_count == size // 4
    assert fetched == [RangedContent.BLOCK_BYTES]


@given(st.data())
def test_a_changed_file_is_read_or_refused(data: st.DataObject) -> None:
    content = bytearray(_SMALL)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(4, 300))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(InvalidModelFile):
        _read(bytes(content[: data.draw(st.integers(4, len(content)))]))


_SMALL = small()
