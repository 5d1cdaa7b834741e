"""JSON is read piece by piece as Python's own parser reads it at once."""

import contextlib
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registry.formats.content import MemoryContent, RangedContent
from services.registry.formats.json_text import MAX_STEPS, JsonReader, NotJson

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


def _reader(text: str, max_bytes: int = 2**30) -> JsonReader:
    return JsonReader(MemoryContent(text.encode()), max_bytes)


@given(
    st.dictionaries(st.text(max_size=5), _VALUES, max_size=5), st.sets(st.integers(0, 4)), st.sampled_from([None, 1])
)
def test_what_is_asked_for_is_there_and_the_rest_is_gone_past(
    members: dict[str, Any], asked: set[int], indent: int | None
) -> None:
    reader = _reader(json.dumps(members, indent=indent, ensure_ascii=bool(asked)))
    told = {}
    for number, name in enumerate(reader.members()):
        told[name] = reader.value() if number in asked else None
    assert told == {name: value if number in asked else None for number, (name, value) in enumerate(members.items())}


@given(st.lists(_VALUES, max_size=5))
def test_elements_come_one_by_one(elements: list[Any]) -> None:
    reader = _reader(json.dumps(elements))
    assert [reader.value() for _ in reader.elements()] == elements


@pytest.mark.parametrize(
    "big", ['"' + 'x\\"' * 200_000 + '"', "[" + "1.5, " * 200_000 + "1]", "9" * 600_000, '[""' + ',""' * 200_000 + "]"]
)
def test_values_larger_than_a_window_are_gone_past(big: str) -> None:
    reader = _reader(f'{{"big": {big}, "small": [1]}}')
    assert [(name, reader.value() if name == "small" else None) for name in reader.members()] == [
        ("big", None),
        ("small", [1]),
    ]


def test_a_value_larger_than_asked_is_refused_in_little_memory() -> None:
    content = memoryview(b"[[]" + b",[]" * 30_000 + b"]")
    tracemalloc.start()
    reader = JsonReader(MemoryContent(content), 2**30)
    with pytest.raises(NotJson, match="a value of at most 65536 bytes"):
        reader.value()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**21


def test_no_more_is_fetched_than_is_read() -> None:
    fetched = []

    def fetch(begin: int, length: int) -> bytes:
        fetched.append(length)
        return b'{"a": 1, "b": [1'.ljust(length, b" ") if begin == 0 else b" " * length

    reader = JsonReader(RangedContent(2**40, fetch), 2**20)
    names = reader.members()
    assert (next(names), reader.value(), next(names)) == ("a", 1, "b")
    with pytest.raises(NotJson, match="it ends, or is read no further"):
        reader.skip()
    assert sum(fetched) <= 2**20


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"a"',
        '{"a":',
        '{"a":1',
        '{"a":1,',
        '{"a" 1}',
        '{"a":1 "b":2}',
        '{"a":1,,"b":2}',
        "{1:2}",
        '{"a":}',
        '{"a":1]',
    ],
)
def test_what_is_no_object_is_refused(text: str) -> None:
    reader = _reader(text)
    with pytest.raises(NotJson):
        _ = [reader.value() for _ in reader.members()]


def test_values_without_end_are_refused_in_a_bounded_time() -> None:
    """Promise 8: the work is bounded, whatever the file's size."""
    with pytest.raises(NotJson, match="more values than are read"):
        _reader("[" * MAX_STEPS + "]").skip()


@given(st.binary(max_size=60))
def test_noise_ends_in_one_kind_of_error(noise: bytes) -> None:
    reader = JsonReader(MemoryContent(b"{" + noise), 2**20)
    with contextlib.suppress(NotJson):
        for _ in reader.members():
            reader.value()
