"""Proofs that a row is in a version, and where, or that it is not; checked against nothing but the version's digest.

A proof of presence is the way from the row up to the root, a few kilobytes whatever the version's size. A proof of
absence is every row's digest, 32 bytes a row: the tree is in the order of the rows, so that no shorter list shows that
nothing was left out. README.md has the hashes that are recomputed here.
"""

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence

from headwater.errors import InvalidArgument
from headwater.tree import format as fmt
from headwater.tree.merkle import (
    Node,
    Split,
    chunk_levels,
    chunk_root,
    groups,
    split_levels,
    split_node,
    version_digest_of,
)

_GROUP_BYTES = fmt.CHUNK_FANOUT * fmt.DIGEST_BYTES


class ProofInvalid(InvalidArgument):
    """The proof does not prove what it says."""

    reason = "PROOF_INVALID"
    text = "The proof does not hold."


@dataclasses.dataclass(frozen=True, slots=True)
class Claim:
    """What a version's digest covers."""

    version_digest: bytes
    schema_digest: bytes
    splits: tuple[Split, ...]

    def check(self) -> None:
        """Raise ProofInvalid unless the digest is that of the schema and the splits."""
        if version_digest_of(self.schema_digest, self.splits) != self.version_digest:
            raise ProofInvalid("The version's digest is not that of these splits.")

    def split(self, name: str) -> Split:
        """The split of that name, or ProofInvalid."""
        for split in self.splits:
            if split.name == name:
                return split
        raise ProofInvalid(f"The version has no split {name}.")


@dataclasses.dataclass(frozen=True, slots=True)
class ChunkStep:
    """One level within a chunk: a group of digests, and which of them is on the way."""

    digests: bytes
    position: int


@dataclasses.dataclass(frozen=True, slots=True)
class SplitStep:
    """One level above the chunks: a node's children, and which of them is on the way."""

    children: tuple[Node, ...]
    position: int


@dataclasses.dataclass(frozen=True, slots=True)
class Inclusion:
    """The way from a row up to the root of its split."""

    split: str
    row: int
    """The row's number within the split."""
    chunk_steps: tuple[ChunkStep, ...]
    split_steps: tuple[SplitStep, ...]


def prove_inclusion(split: str, chunks: Sequence[Node], chunk: int, row_digests: bytes, row: int) -> Inclusion:
    """The way from row ``row`` of chunk number ``chunk`` up to the root of the split.

    Args:
        chunks: all chunks of the split, in order.
        row_digests: those of that chunk's rows, 32 bytes each.
    """
    first_row = sum(node.row_count for node in chunks[:chunk])
    return Inclusion(split, first_row + row, tuple(_within(row_digests, row)), tuple(_above(chunks, chunk)))


def check_inclusion(claim: Claim, row_digest: bytes, proof: Inclusion) -> None:
    """Raise ProofInvalid unless the row is the one with the number ``proof.row`` in the split ``proof.split``."""
    claim.check()
    if not proof.chunk_steps or not proof.split_steps:
        raise ProofInvalid("The way from the row to the root is incomplete.")
    digest, row = row_digest, 0
    for level, step in enumerate(proof.chunk_steps):
        if _digest_at(step) != digest:
            raise ProofInvalid("A group of the chunk does not hold what leads to the row.")
        digest = hashlib.sha256(fmt.CHUNK_NODE + step.digests).digest()
        row += step.position * fmt.CHUNK_FANOUT**level
    for split_step in proof.split_steps:
        if not 0 <= split_step.position < len(split_step.children):
            raise ProofInvalid("A node has no such child.")
        if split_step.children[split_step.position].digest != digest:
            raise ProofInvalid("A node does not hold what leads to the row.")
        row += sum(child.row_count for child in split_step.children[: split_step.position])
        digest = split_node(split_step.children).digest
    if digest != claim.split(proof.split).root:
        raise ProofInvalid("The way from the row does not lead to the split's root.")
    if row != proof.row:
        raise ProofInvalid(f"The row is number {row}, not {proof.row}.")


def check_absence(claim: Claim, row_digest: bytes, chunks: Mapping[str, Iterable[bytes]]) -> None:
    """Raise ProofInvalid unless these are all rows of the version and ``row_digest`` is none of them.

    Args:
        chunks: of each split by name, the row digests of every chunk in order.
    """
    claim.check()
    for split in claim.splits:
        nodes = []
        for row_digests in chunks.get(split.name, ()):
            if not row_digests or len(row_digests) % fmt.DIGEST_BYTES:
                raise ProofInvalid("A chunk is not a list of row digests.")
            if contains(row_digests, row_digest):
                raise ProofInvalid(f"The row is in the split {split.name}.")
            nodes.append(Node(chunk_root(row_digests), len(row_digests) // fmt.DIGEST_BYTES))
        root = split_levels(nodes)[-1][0]
        if (root.digest, root.row_count) != (split.root, split.row_count):
            raise ProofInvalid(f"These are not all the rows of the split {split.name}.")


def contains(row_digests: bytes, row_digest: bytes) -> bool:
    """Whether a digest is one of those that lie one after the other in ``row_digests``."""
    return bool(positions(row_digests, row_digest, limit=1))


def positions(row_digests: bytes, row_digest: bytes, *, limit: int | None = None) -> list[int]:
    """Where a digest is among those that lie one after the other in ``row_digests``; at most ``limit`` of them."""
    found: list[int] = []
    at = row_digests.find(row_digest)
    while at >= 0 and (limit is None or len(found) < limit):
        if at % fmt.DIGEST_BYTES == 0:  # else the end of one digest and the beginning of the next
            found.append(at // fmt.DIGEST_BYTES)
        at = row_digests.find(row_digest, at + 1)
    return found


def _within(row_digests: bytes, row: int) -> Iterable[ChunkStep]:
    for level in chunk_levels(row_digests)[:-1]:
        group = row // fmt.CHUNK_FANOUT * _GROUP_BYTES
        yield ChunkStep(level[group : group + _GROUP_BYTES], row % fmt.CHUNK_FANOUT)
        row //= fmt.CHUNK_FANOUT


def _above(chunks: Sequence[Node], chunk: int) -> Iterable[SplitStep]:
    for level in split_levels(chunks)[:-1]:
        start = 0
        for number, group in enumerate(groups(level)):
            if chunk < start + len(group):
                yield SplitStep(tuple(group), chunk - start)
                chunk = number
                break
            start += len(group)


def _digest_at(step: ChunkStep) -> bytes:
    start = step.position * fmt.DIGEST_BYTES
    if step.position < 0 or len(step.digests) > _GROUP_BYTES:
        raise ProofInvalid("A group of the chunk is too large.")
    return step.digests[start : start + fmt.DIGEST_BYTES]
