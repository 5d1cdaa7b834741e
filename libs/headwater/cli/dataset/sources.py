"""What commands take rows from: files, or a query."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from headwater import files
from headwater.cli.render import warn
from headwater.errors import InvalidArgument


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
    found = files.Source(source, rule, types_of(types), kind=kind)
    warn(found.notes)
    yield found


def types_of(text: str) -> pa.Schema | None:
    """The types that ``--types`` says, or InvalidArgument."""
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
