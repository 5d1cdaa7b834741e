"""Checks a stream of rows as putting them would, and keeps none."""

from collections.abc import Iterator

import pyarrow as pa

from headwater import tree
from headwater.tree.errors import MalformedRows, RowTooLarge
from services.dataset.checks.errors import SchemaDiffers
from services.dataset.checks.model import VERDICTS, Checked
from services.dataset.rows.errors import SplitTooLarge
from services.dataset.rows.layout import Layout
from services.dataset.rows.writer import MAX_CHUNKS

_Verdict = tuple[bytes | None, str | None]


class Check:
    """The check of one stream; holds one unfinished chunk of its rows, and a digest for each MiB of them.

    Raises:
        InvalidSchema, UnsupportedType, InvalidColumnName, SchemaTooLarge: no dataset can have such rows.
    """

    def __init__(self, schema: pa.Schema, split: str) -> None:
        Layout.of(schema)
        self._schema = schema
        self._split = split
        self._hasher = tree.RowHasher(schema)
        self._cutter = tree.ChunkBuilder(schema)
        self._nodes: list[tree.Node] = []
        self._row_count = 0
        self._problem_count = 0

    def add(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """What there is to say of each of the next rows, with the schema ``VERDICTS``.

        Raises:
            SchemaChanged, SplitTooLarge
        """
        verdicts = list(self._verdicts(rows))
        problems = sum(problem is not None for _, problem in verdicts)
        self._row_count += len(verdicts)
        self._problem_count += problems
        digests, texts = zip(*verdicts, strict=True) if verdicts else ((), ())
        columns = [pa.array(given, field.type) for given, field in zip((digests, texts), VERDICTS, strict=True)]
        return pa.RecordBatch.from_arrays(columns, schema=VERDICTS)

    def finish(self) -> Checked:
        """What all the rows together would be."""
        if self._problem_count:
            return Checked(b"", self._row_count, self._problem_count)
        self._keep(self._cutter.finish())
        root = tree.split_root(self._nodes)
        digest = tree.version_digest(self._schema, [tree.Split(self._split, root.digest, root.row_count)])
        return Checked(digest, self._row_count, 0)

    def _verdicts(self, rows: pa.RecordBatch) -> Iterator[_Verdict]:
        """Where something is wrong with rows, they are halved until it is known with which of them."""
        try:
            pieces = list(self._hasher.hash(rows))
        except (MalformedRows, RowTooLarge) as error:
            if rows.num_rows == 1:
                yield None, str(error)
                return
            half = rows.num_rows // 2
            yield from self._verdicts(rows.slice(0, half))
            yield from self._verdicts(rows.slice(half))
            return
        for piece in pieces:
            self._cut(piece)
            size = tree.DIGEST_BYTES
            yield from ((piece.digests[at : at + size], None) for at in range(0, len(piece.digests), size))

    def _cut(self, piece: tree.RowDigests) -> None:
        if not self._problem_count:  # else there is no digest to come to
            self._keep(self._cutter.push_digested(piece))

    def _keep(self, chunks: list[tree.Chunk]) -> None:
        self._nodes += [chunk.node for chunk in chunks]
        if len(self._nodes) > MAX_CHUNKS:
            raise SplitTooLarge(limit_chunks=MAX_CHUNKS)


def check_same_columns(schema: pa.Schema, wanted: pa.Schema) -> None:
    """Go on if rows of ``schema`` could be rows of a version with the schema ``wanted``.

    Raises:
        SchemaDiffers: naming each difference.
    """
    if tree.schema_digest(schema) == tree.schema_digest(wanted):
        return
    differences = [f"{name} is missing" for name in wanted.names if name not in schema.names]
    differences += [f"{name} is not among them" for name in schema.names if name not in wanted.names]
    for field in schema:
        other = wanted.field(field.name) if field.name in wanted.names else field
        if _canonical(field) != _canonical(other):
            differences.append(f"{field.name} is {str(field.type)[:100]} and should be {str(other.type)[:100]}")
    if not differences:
        differences = [f"their order should be {', '.join(wanted.names)}"]
    raise SchemaDiffers(f"The rows have other columns than the version: {'; '.join(differences)[:2000]}.")


def _canonical(field: pa.Field) -> bytes:
    """What the type is, whatever its layout. A column beside it, since one that can hold no value is none alone."""
    return tree.schema_digest(pa.schema([pa.field("of", field.type), pa.field("beside", pa.bool_())]))
