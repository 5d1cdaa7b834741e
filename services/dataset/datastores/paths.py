"""DataPaths: what may be said of a path within a datastore; pure."""

import re

from headwater.files import split_by
from services.dataset.datastores.errors import InvalidDataPath
from services.dataset.datastores.model import Place, SqlDatabase
from services.dataset.history.definition import DataPath, PathKind

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MAX_IDENTIFIER = 128


def check_path(place: Place, path: DataPath) -> DataPath:
    """The path, if it is one that the place can have and how to split is said in a way that can be followed.

    Raises:
        InvalidDataPath
        InvalidSplitBy, InvalidName: from ``headwater.files``.
    """
    if isinstance(place, SqlDatabase) is (path.kind is PathKind.RELATIVE_PATH):
        raise InvalidDataPath("A database has tables and queries, every other place has files.", kind=path.kind.value)
    if path.kind is PathKind.RELATIVE_PATH:
        _check_relative(path.path)
    elif path.kind is PathKind.SQL_TABLE:
        _check_table(path.path)
    elif not path.path.strip() or "\0" in path.path:
        raise InvalidDataPath("A query has characters, and no NUL.", kind=path.kind.value)
    if path.split_by:
        split_by(path.split_by)
    return path


def _check_relative(path: str) -> None:
    segments = path.removesuffix("/").split("/") if path else []
    if _CONTROL.search(path) or "\\" in path or any(segment in ("", ".", "..") for segment in segments):
        raise InvalidDataPath("A path is segments with '/' between them, and no '.' or '..' among them.", path=path)


def _check_table(table: str) -> None:
    parts = table.split(".")
    if len(parts) > 2 or any(not part or len(part) > _MAX_IDENTIFIER or _CONTROL.search(part) for part in parts):
        raise InvalidDataPath("A table is named as orders, or as sales.orders.", table=table)
