"""The tree above the rows: rows to a chunk's root, chunks to a split's root, splits to a version's digest."""

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

import pyarrow as pa

from headwater.tree import format as fmt
from headwater.tree.errors import InvalidSplits
from headwater.tree.schema import schema_digest


class Child(Protocol):
    """What a node can stand above: a ``Node``, or anything else that has a digest and rows."""

    @property
    def digest(self) -> bytes:
        """The digest of a chunk or a node."""
        ...

    @property
    def row_count(self) -> int:
        """How many rows are below it."""
        ...


AnyChild = TypeVar("AnyChild", bound=Child)


@dataclasses.dataclass(frozen=True, slots=True)
class Node:
    """A chunk, or what stands above several: a digest and how many rows are below it."""

    digest: bytes
    row_count: int


@dataclasses.dataclass(frozen=True, slots=True)
class Split:
    """A named part of a version."""

    name: str
    root: bytes
    row_count: int


def chunk_root(row_digests: bytes) -> bytes:
    """The Merkle root of at least one row digest (32 bytes each), with a fan-out of 64."""
    return chunk_levels(row_digests)[-1]


def chunk_levels(row_digests: bytes) -> list[bytes]:
    """The levels of a chunk's tree, each as its digests one after the other: from its rows up to the one root."""
    levels, step = [row_digests], fmt.CHUNK_FANOUT * fmt.DIGEST_BYTES
    while len(levels) == 1 or len(levels[-1]) > fmt.DIGEST_BYTES:
        level, starts = levels[-1], range(0, len(levels[-1]), step)
        levels.append(b"".join([hashlib.sha256(fmt.CHUNK_NODE + level[at : at + step]).digest() for at in starts]))
    return levels


def split_levels(chunks: Iterable[Node]) -> list[list[Node]]:
    """The levels of a split's tree, from its chunks up to the one root.

    Which children a node has depends only on their digests, so two versions of a split share every node that lies
    away from what changed; equal nodes need not be looked into when versions are compared.
    """
    levels = [list(chunks)]
    while len(levels) == 1 or len(levels[-1]) > 1:
        levels.append([split_node(group) for group in groups(levels[-1])])
    return levels


def split_root(chunks: Iterable[Node]) -> Node:
    """The root of a split's tree; that of no chunks at all is a node without children."""
    return split_levels(chunks)[-1][0]


def version_digest(schema: pa.Schema, splits: Iterable[Split]) -> bytes:
    """What names a version: the same for the same schema and rows in each split, and for nothing else.

    Raises:
        InvalidSplits: no splits, a name twice, an empty name.
    """
    return version_digest_of(schema_digest(schema), splits)


def version_digest_of(schema: bytes, splits: Iterable[Split]) -> bytes:
    """``version_digest``, for who has no schema but its digest."""
    given = list(splits)
    named = {split.name.encode(): split for split in given}
    if not given or len(named) < len(given) or b"" in named:
        raise InvalidSplits(splits=", ".join(sorted(split.name for split in given)))
    preimage = fmt.VERSION + schema + len(named).to_bytes(4, "little")
    for name, split in sorted(named.items()):
        preimage += len(name).to_bytes(4, "little") + name + split.row_count.to_bytes(8, "little") + split.root
    return hashlib.sha256(preimage).digest()


def groups(nodes: Sequence[AnyChild]) -> list[Sequence[AnyChild]]:
    """The children of each node that stands above ``nodes``."""
    found: list[Sequence[AnyChild]] = []
    start = 0
    for end, node in enumerate(nodes, 1):
        if ends_group(node, end - start):
            found.append(nodes[start:end])
            start = end
    if start < len(nodes) or not nodes:
        found.append(nodes[start:])
    return found


def ends_group(child: Child, size: int) -> bool:
    """Whether a group ends after ``child``, its ``size``-th one, whatever follows."""
    is_last = int.from_bytes(child.digest[:8], "big") >> (64 - fmt.SPLIT_FANOUT_BITS) == 0
    # At least two children, so that each level is at most about half of the one below and the tree must end.
    return size >= fmt.SPLIT_FANOUT_MIN and (is_last or size == fmt.SPLIT_FANOUT_MAX)


def split_node(children: Sequence[Child]) -> Node:
    """What stands above ``children``."""
    preimage = fmt.SPLIT_NODE + b"".join(child.digest + child.row_count.to_bytes(8, "little") for child in children)
    return Node(hashlib.sha256(preimage).digest(), sum(child.row_count for child in children))
