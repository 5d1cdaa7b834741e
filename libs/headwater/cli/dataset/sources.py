"""What commands take rows from: files, or a query."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa

from headwater import files
from headwater.cli.render import facts, table, warn
from headwater.dataset.v1 import datasets_pb2
from headwater.errors import InvalidArgument

_CLASSES = 20
"""Of each split so many classes are shown."""


@contextlib.contextmanager
def open_source(
    source: Path | None, *, split_by: str, kind: str, types: str, sql: str, query: str
) -> Iterator[files.Source | files.SqlSource]:
    """The rows that a command's options name; warns of files that are not what their names say.

    Raises:
        InvalidArgument: the options contradict one another.
    """
    rule = files.split_by(split_by) if split_by else None
    if sql or query:
        if source is not None or kind or types or not (sql and query):
            raise InvalidArgument("--sql URL and --query go together, without files, --as and --types.", field="sql")
        with files.SqlSource(sql, query, rule) as rows:
            yield rows
        return
    if source is None:
        raise InvalidArgument("Say which file or folder, or --sql and --query.", field="source")
    found = files.Source(source, rule, _types(types), kind=kind)
    warn(found.notes)
    yield found


def show_splits(version: datasets_pb2.DatasetVersion, classes: Mapping[str, Mapping[str, int]]) -> None:
    """Print what each split holds."""
    rows = [(split.name, f"{split.row_count:,}", f"{split.size_bytes:,}") for split in version.splits]
    table(("split", "rows", "bytes"), rows)
    for split, counts in classes.items():
        largest = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        more = f", and {len(counts) - _CLASSES:,} more" if len(counts) > _CLASSES else ""
        facts(**{f"classes of {split}": ", ".join(f"{name} {count:,}" for name, count in largest[:_CLASSES]) + more})


def _types(text: str) -> pa.Schema | None:
    fields = []
    for part in filter(None, text.split(",")):
        name, equals, kind = part.rpartition("=")
        try:
            fields.append((name, pa.type_for_alias(kind)))
        except ValueError:
            equals = ""
        if not equals or not name:
            raise InvalidArgument(f"{part!r} must be COLUMN=TYPE, such as label=int32.", field="types")
    return pa.schema(fields) if fields else None
