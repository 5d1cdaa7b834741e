"""The constants of the tree's format; README.md beside this file is the specification that they come from.

Changing any of them changes digests, so none of them is a setting: a new value needs a new ``FORMAT``.
"""

FORMAT = b"headwater.tree/1"

DIGEST_BYTES = 32

# What a digest is a digest of, as its preimage's first byte: no row can pass for a node, no node for a version.
ROW = b"\x00"
CHUNK_NODE = b"\x01"
SPLIT_NODE = b"\x02"
VERSION = b"\x03"
SCHEMA = b"\x04"

CHUNK_FANOUT = 64

CHUNK_TARGET_BITS = 20
"""A chunk aims at 2^20 bytes of canonical row encodings."""
CHUNK_MAX_BYTES = 8 << 20
ROW_MAX_BYTES = CHUNK_MAX_BYTES

SPLIT_FANOUT_BITS = 6
"""Above chunks, a node aims at 2^6 children."""
SPLIT_FANOUT_MIN = 2
SPLIT_FANOUT_MAX = 512

MAX_DEPTH = 32
"""How deeply a column's type may nest."""
