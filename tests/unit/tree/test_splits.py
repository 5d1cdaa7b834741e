"""The levels above chunks."""

import hashlib
import random

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.tree import Node, digest_split, digest_text, parse_digest, split_levels, split_root
from tests.unit.tree import reference


def nodes(count: int, seed: int = 0) -> list[Node]:
    rng = random.Random(seed)
    return [Node(rng.randbytes(32), rng.randrange(1, 1000)) for _ in range(count)]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 64, 65, 1000, 20_000])
def test_a_root_is_what_the_specification_says(count: int) -> None:
    chunks = nodes(count)
    root = split_root(chunks)
    assert (root.digest, root.row_count) == reference.split_root([(node.digest, node.row_count) for node in chunks])
    assert root.row_count == sum(node.row_count for node in chunks)


@given(st.integers(0, 255), st.integers(0, 1500))
@settings(max_examples=40, deadline=None)
def test_every_tree_ends_whatever_the_digests(first: int, count: int) -> None:
    """Digests that all end a group, or that never do, still give levels that shrink."""
    chunks = [Node(bytes([first]) + node.digest[1:], 1) for node in nodes(count)]
    levels = split_levels(chunks)
    assert len(levels) <= 3 + count.bit_length()
    assert split_root(chunks) == levels[-1][0]
    assert levels[-1][0].digest == reference.split_root([(node.digest, 1) for node in chunks])[0]


def test_a_changed_chunk_changes_one_node_on_each_level_or_two() -> None:
    before = nodes(20_000)
    after = [*before[:9000], *nodes(1, seed=1), *before[9000:]]
    for old, new in zip(split_levels(before), split_levels(after), strict=True):
        assert len({node.digest for node in new} - {node.digest for node in old}) <= 3


def test_a_node_covers_where_its_rows_are() -> None:
    left, right = nodes(2)
    moved = [Node(left.digest, left.row_count + 1), Node(right.digest, right.row_count - 1)]
    assert split_root([left, right]).row_count == split_root(moved).row_count
    assert split_root([left, right]).digest != split_root(moved).digest


def test_an_empty_split_has_a_root_of_its_own() -> None:
    split = digest_split("test", pa.schema({"x": pa.int8()}), [])
    assert (split.row_count, split.root) == (0, hashlib.sha256(b"\x02").digest())


def test_a_digest_and_its_text_are_the_same() -> None:
    digest = hashlib.sha256(b"").digest()
    assert digest_text(digest).startswith("sha256:e3b0c442")
    assert parse_digest(digest_text(digest)) == digest
