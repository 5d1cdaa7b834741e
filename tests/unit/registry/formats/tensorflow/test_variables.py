"""The index of TensorFlow's variables: which there are, and what they need from which data file."""

from collections.abc import Callable, Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registry.formats import Format, InvalidModelFile
from services.registry.formats.content import MemoryContent
from services.registry.formats.detect import read
from services.registry.formats.tensorflow.crc32c import crc32c, masked
from tests.data.models import tensorflow_files as files

_NAMES = st.text("abc/_é", min_size=1, max_size=12)
_SHAPES = st.lists(st.integers(0, 5), max_size=4)


def test_the_checksum_is_that_of_the_rfc() -> None:
    """RFC 3720, B.4, and LevelDB's own test of its mask."""
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert masked(crc32c(b"foo")) != crc32c(b"foo")


@given(st.dictionaries(_NAMES, _SHAPES, max_size=20), st.integers(1, 4), st.integers(1, 7))
def test_what_is_written_is_read(shapes: Mapping[str, Sequence[int]], shards: int, per_block: int) -> None:
    """R-14, against a writer that shares no code with the reader."""
    facts = read(MemoryContent(files.variables(shapes, shards)["variables.index"]))
    assert facts.format is Format.TENSORFLOW_VARIABLES
    assert [(each.name, each.datatype, list(each.shape)) for each in facts.tensors] == [
        (name, "FP32", list(shapes[name])) for name in sorted(shapes, key=str.encode)
    ]
    entries = {name.encode(): files.entry(files.DT_FLOAT, shape) for name, shape in shapes.items()}
    again = read(MemoryContent(files.index(entries, shards, per_block)))
    assert again.tensors == facts.tensors


def test_each_data_file_is_asked_for_with_its_length() -> None:
    """R-14, "sharded storage"."""
    folder = files.variables({"a": (2,), "b": (3,), "c": (4,)}, shards=2)
    facts = read(MemoryContent(folder["variables.index"]))
    assert [(each.location, each.end) for each in facts.external] == [
        (".data-00000-of-00002", 24),
        (".data-00001-of-00002", 12),
    ]
    assert facts.properties["shards"] == "2"


def test_objects_are_named_without_what_all_names_end_with() -> None:
    entries = {
        b"_CHECKPOINTABLE_OBJECT_GRAPH": files.entry(files.DT_STRING, (), size=100),
        b"layer/kernel/.ATTRIBUTES/VARIABLE_VALUE": files.entry(files.DT_FLOAT, (2,), begin=100),
    }
    facts = read(MemoryContent(files.index(entries)))
    assert [each.name for each in facts.tensors] == ["layer/kernel"]
    assert facts.external[0].end == 108


def test_parts_of_a_variable_count_as_the_one_that_they_are_of() -> None:
    whole = files.entry(files.DT_FLOAT, (4,), size=0) + files.field(7, b"")
    facts = read(MemoryContent(files.index({b"a": whole, b"\0a-0": files.entry(files.DT_FLOAT, (4,))})))
    assert [(each.name, list(each.shape)) for each in facts.tensors] == [("a", [4])]
    assert facts.external[0].end == 16


def test_a_table_of_something_else_is_of_no_format() -> None:
    content = files.table([files.block([(b"key", b"value")])], [b"key"])
    assert read(MemoryContent(content)).format is Format.UNSPECIFIED


@pytest.mark.parametrize("attack", files.REFUSED.values(), ids=files.REFUSED)
def test_attacks_are_refused(attack: Callable[[], bytes]) -> None:
    """Promise 12: what breaks a rule is said, at bounded cost."""
    with pytest.raises(InvalidModelFile):
        read(MemoryContent(attack()))


_GOOD = files.variables({"a": (2, 3), "b": (4,), "layer/c": ()}, shards=2)["variables.index"]


@given(st.integers(0, len(_GOOD) - 9), st.integers(1, 255))
def test_a_changed_byte_is_noticed_or_changes_nothing_that_is_told(position: int, change: int) -> None:
    content = bytearray(_GOOD)
    content[position] ^= change
    try:
        facts = read(MemoryContent(bytes(content)))
    except InvalidModelFile:
        return
    assert facts.tensors == read(MemoryContent(_GOOD)).tensors
