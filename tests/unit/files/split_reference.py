"""docs/reference/splits.md a second time, one row at a time."""

import hashlib
from collections.abc import Sequence
from fractions import Fraction

import pyarrow as pa

from headwater.tree import RowHasher

BITS = 40


def value_key(column: str, array: pa.Array, seed: int) -> list[int]:
    alone = pa.record_batch([array], names=[column])
    digests = b"".join(piece.digests for piece in RowHasher(alone.schema).hash(alone))
    prefix = seed.to_bytes(8, "little")
    return [
        int.from_bytes(hashlib.sha256(prefix + digests[at : at + 32]).digest()[:8], "big")
        for at in range(0, len(digests), 32)
    ]


def row_key(row: int, seed: int) -> int:
    digest = hashlib.sha256(b"headwater.split/1" + seed.to_bytes(8, "little")).digest()
    add, *factors = (int.from_bytes(digest[at : at + 8], "little") for at in range(0, 32, 8))
    key = (row + add) % 2**BITS
    for factor in factors:
        key ^= key >> 20
        key = key * (factor | 1) % 2**BITS
    return int(key ^ (key >> 20))


def largest_remainder(count: int, shares: Sequence[Fraction]) -> list[int]:
    whole = [int(count * share) for share in shares]
    lost = [count * share - kept for share, kept in zip(shares, whole, strict=True)]
    for index in sorted(range(len(shares)), key=lambda index: (-lost[index], index))[: count - sum(whole)]:
        whole[index] += 1
    return whole


def by_stratum(values: Sequence[object], shares: Sequence[Fraction], seed: int) -> list[int]:
    """The index of each row's split; a split by ratio is one by a column of one value."""
    splits = [0] * len(values)
    for value in set(values):
        rows = sorted((row for row, other in enumerate(values) if other == value), key=lambda row: row_key(row, seed))
        for index, count in enumerate(largest_remainder(len(rows), shares)):
            for row in rows[:count]:
                splits[row] = index
            rows = rows[count:]
    return splits


def by_group(keys: Sequence[int], shares: Sequence[Fraction]) -> list[int]:
    ordered = sorted(keys)
    cuts = []
    for index in range(1, len(shares)):
        wanted = sum(shares[:index], Fraction(0)) * len(keys)
        ends = [at for at in range(len(keys) + 1) if at in (0, len(keys)) or ordered[at] != ordered[at - 1]]
        # The group that the cut falls into, and its nearer end; of equally near ones the first.
        before = max(at for at in ends if at <= int(wanted)) if int(wanted) < len(keys) else len(keys)
        after = min((at for at in ends if at > int(wanted)), default=len(keys))
        cuts.append(before if wanted - before <= after - wanted else after)
    firsts = [ordered[cut] if cut < len(keys) else 2**64 for cut in cuts]
    return [sum(key >= first for first in firsts) for key in keys]
