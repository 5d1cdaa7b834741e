"""The dataset tree: digests of rows, chunks, splits and versions that depend on nothing but the rows.

    builder = ChunkBuilder(schema)
    chunks = [chunk for batch in batches for chunk in builder.push(batch)] + builder.finish()
    root = split_root(chunk.node for chunk in chunks)
    digest = version_digest(schema, [Split("train", root.digest, root.row_count)])

Pure functions over Arrow, used alike by the service that stores rows and by clients that check them. README.md is
the specification of every byte.
"""

from headwater.tree.chunks import Chunk, ChunkBuilder, digest_split
from headwater.tree.digest import digest_text, parse_digest
from headwater.tree.format import CHUNK_MAX_BYTES, DIGEST_BYTES
from headwater.tree.merkle import Node, Split, chunk_root, split_levels, split_root, version_digest
from headwater.tree.rows import RowDigests, RowHasher
from headwater.tree.schema import schema_digest

__all__ = [
    "CHUNK_MAX_BYTES",
    "DIGEST_BYTES",
    "Chunk",
    "ChunkBuilder",
    "Node",
    "RowDigests",
    "RowHasher",
    "Split",
    "chunk_root",
    "digest_split",
    "digest_text",
    "parse_digest",
    "schema_digest",
    "split_levels",
    "split_root",
    "version_digest",
]
