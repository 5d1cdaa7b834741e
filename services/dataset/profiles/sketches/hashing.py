"""64-bit hashes of many values at once. Equal values have equal hashes in every process and on every machine."""

import hashlib
from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Words: TypeAlias = npt.NDArray[np.uint64]

MAX_SHORT_BYTES = 256
"""Values up to this length are hashed without Python's touching them one by one."""

_BLOCK_BYTES = 1 << 20


def mix(words: Words) -> Words:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a permutation in which every bit depends on every bit."""
    mixed = words + np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def hash_rows(rows: Words) -> Words:
    """A hash of each row of a matrix of words."""
    hashes = mix(rows[:, 0])
    for column in range(1, rows.shape[1]):
        hashes = mix(hashes ^ rows[:, column])
    return hashes


def hash_short(offsets: npt.NDArray[np.int32], data: npt.NDArray[np.uint8]) -> Words:
    """A hash of each ``data[offsets[i]:offsets[i + 1]]``, none of them longer than MAX_SHORT_BYTES.

    Each byte at each place has a random word of its own, and their sum is hashed with the length: two values collide as
    rarely as random words do (tabulation hashing, Zobrist 1970).
    """
    count = len(offsets) - 1
    hashes = np.zeros(count, np.uint64)
    first = 0
    while first < count:
        end = int(np.searchsorted(offsets, offsets[first] + _BLOCK_BYTES, side="right")) - 1
        end = min(max(end, first + 1), count)
        hashes[first:end] = _hash_block(offsets[first : end + 1], data)
        first = end
    return hashes


def hash_long(values: Iterable[memoryview]) -> Words:
    """A hash of each value, whatever its length: the first 64 bits of its BLAKE2b."""
    digests = b"".join(hashlib.blake2b(value, digest_size=8).digest() for value in values)
    return np.frombuffer(digests, np.uint64)


def _hash_block(offsets: npt.NDArray[np.int32], data: npt.NDArray[np.uint8]) -> Words:
    lengths = np.diff(offsets)
    sums = np.zeros(len(lengths), np.uint64)
    filled = lengths > 0  # an empty segment would be given the byte that follows it
    if filled.any():
        starts = offsets[:-1][filled] - offsets[0]
        places = np.arange(offsets[-1] - offsets[0]) - np.repeat(starts, lengths[filled])
        sums[filled] = np.add.reduceat(_TABLE[places, data[offsets[0] : offsets[-1]]], starts)
    return mix(sums + lengths.astype(np.uint64))


_TABLE = mix(np.arange(MAX_SHORT_BYTES * 256, dtype=np.uint64)).reshape(MAX_SHORT_BYTES, 256)
