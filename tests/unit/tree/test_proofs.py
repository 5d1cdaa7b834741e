"""Proofs of presence and absence, and what happens when somebody bends them."""

import dataclasses
import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.tree import Node, Split, chunk_root, split_root
from headwater.tree.merkle import version_digest_of
from headwater.tree.proofs import (
    Claim,
    Inclusion,
    ProofInvalid,
    check_absence,
    check_inclusion,
    positions,
    prove_inclusion,
)

SCHEMA = hashlib.sha256(b"schema").digest()
ABSENT = hashlib.sha256(b"nobody").digest()


def digests(count: int, salt: str = "") -> list[bytes]:
    return [hashlib.sha256(f"{salt}{number}".encode()).digest() for number in range(count)]


def cut(rows: Sequence[bytes], sizes: Sequence[int]) -> list[bytes]:
    """The rows in chunks of these sizes, and what remains in one more."""
    chunks, start = [], 0
    for size in sizes:
        if start + size >= len(rows):
            break
        chunks.append(b"".join(rows[start : start + size]))
        start += size
    return [*chunks, b"".join(rows[start:])]


def nodes_of(chunks: Sequence[bytes]) -> list[Node]:
    return [Node(chunk_root(chunk), len(chunk) // 32) for chunk in chunks]


def claim_of(**splits: Sequence[bytes]) -> Claim:
    roots = {name: split_root(nodes_of(chunks)) for name, chunks in splits.items()}
    named = tuple(Split(name, root.digest, root.row_count) for name, root in sorted(roots.items()))
    return Claim(version_digest_of(SCHEMA, named), SCHEMA, named)


def prove(chunks: Sequence[bytes], row: int) -> Inclusion:
    chunk = 0
    while row >= len(chunks[chunk]) // 32:
        row -= len(chunks[chunk]) // 32
        chunk += 1
    return prove_inclusion("train", nodes_of(chunks), chunk, chunks[chunk], row)


@given(
    count=st.integers(1, 5000),
    sizes=st.lists(st.integers(1, 300), max_size=200),
    at=st.floats(0, 1, exclude_max=True),
)
def test_any_row_of_any_tree_can_be_proved_where_it_is(count: int, sizes: list[int], at: float) -> None:
    """N-02."""
    rows = digests(count)
    chunks, row = cut(rows, sizes), int(at * count)
    claim = claim_of(train=chunks, test=cut(digests(10, "t"), []))
    proof = prove(chunks, row)
    assert proof.row == row
    check_inclusion(claim, rows[row], proof)


@given(data=st.data())
def test_a_bent_proof_proves_nothing(data: st.DataObject) -> None:
    rows = digests(1000)
    chunks = cut(rows, [100] * 9)
    claim, proof = claim_of(train=chunks), prove(chunks, 321)
    bent = data.draw(
        st.sampled_from(
            [
                dataclasses.replace(proof, row=322),
                dataclasses.replace(proof, row=-1),
                dataclasses.replace(proof, split="test"),
                dataclasses.replace(proof, chunk_steps=proof.chunk_steps[:-1]),
                dataclasses.replace(proof, chunk_steps=()),
                dataclasses.replace(proof, split_steps=()),
                dataclasses.replace(proof, split_steps=proof.split_steps[:-1]),
                *(
                    dataclasses.replace(
                        proof, chunk_steps=(dataclasses.replace(proof.chunk_steps[0], position=position),)
                    )
                    for position in (-1, 0, 63, 64, 10**9)
                ),
                *(
                    dataclasses.replace(
                        proof, split_steps=(dataclasses.replace(proof.split_steps[0], position=position),)
                    )
                    for position in (-1, 10**9)
                ),
            ]
        )
    )
    with pytest.raises(ProofInvalid):
        check_inclusion(claim, rows[321], bent)


def test_a_proof_holds_for_its_row_and_its_version_only() -> None:
    chunks = cut(digests(1000), [100] * 9)
    claim, proof = claim_of(train=chunks), prove(chunks, 5)
    with pytest.raises(ProofInvalid):
        check_inclusion(claim, ABSENT, proof)
    other = dataclasses.replace(claim, version_digest=ABSENT)
    with pytest.raises(ProofInvalid, match="digest is not that"):
        check_inclusion(other, digests(6)[5], proof)


@given(count=st.integers(0, 1000), sizes=st.lists(st.integers(1, 100), max_size=50))
def test_absence_is_proved_by_all_rows(count: int, sizes: list[int]) -> None:
    """N-02: a record that was not used can be shown not to have been."""
    chunks = cut(digests(count), sizes) if count else []
    check_absence(claim_of(train=chunks), ABSENT, {"train": chunks})


def test_absence_is_not_proved_by_fewer_rows_or_of_a_row_that_is_there() -> None:
    rows = digests(1000)
    chunks = cut(rows, [100] * 9)
    claim = claim_of(train=chunks, test=cut(digests(5, "t"), []))
    both = {"train": chunks, "test": cut(digests(5, "t"), [])}
    check_absence(claim, ABSENT, both)
    for partial in (
        {"train": chunks},
        {**both, "train": chunks[:-1]},
        {**both, "train": [*chunks, ABSENT]},
        {**both, "train": [b"".join(chunks)]},
        {**both, "train": [*chunks[:-1], chunks[-1][:-1]]},
        {**both, "train": [*chunks, b""]},
    ):
        with pytest.raises(ProofInvalid):
            check_absence(claim, digests(1, "x")[0], partial)
    with pytest.raises(ProofInvalid, match="is in the split train"):
        check_absence(claim, rows[555], both)


def test_a_digest_is_not_found_across_two_others() -> None:
    first, second = digests(2)
    across = first[16:] + second[:16]
    assert positions(first + second, across) == []
    assert positions(first + second + first, first) == [0, 2]
    assert positions(first + first, first, limit=1) == [0]
