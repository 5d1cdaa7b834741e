"""What the rows of a commit are, where they were not just pushed."""

import dataclasses
import enum
import json
import types
from collections.abc import Mapping
from typing import Any, TypeAlias

from services.dataset.history.errors import InvalidDataflow

_NO_NAMES: Mapping[str, str] = types.MappingProxyType({})


class PathKind(enum.Enum):
    """What the text of a DataPath is."""

    RELATIVE_PATH = "relative_path"
    """A file, or a folder ending in ``/``, relative to the datastore."""
    SQL_TABLE = "sql_table"
    SQL_QUERY = "sql_query"


@dataclasses.dataclass(frozen=True, slots=True)
class DataPath:
    """A place within a datastore. It has no name and no identity of its own (M-14)."""

    datastore_uid: str
    """The datastore is remembered by its uid, so that it may be renamed (M-13)."""
    kind: PathKind
    path: str
    split_by: str = ""
    datastore: str = dataclasses.field(default="", compare=False)
    """The datastore's resource name as of when the commit was read."""

    def document(self) -> dict[str, Any]:
        """The definition as JSON: what is stored, and what the commit's id covers."""
        path = {"datastore": self.datastore_uid, self.kind.value: self.path, "split_by": self.split_by}
        return {"data_path": path}


@dataclasses.dataclass(frozen=True, slots=True)
class Dataflow:
    """A recorded transformation, and the versions of datasets and pipelines that went in."""

    spec_json: str
    inputs: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """See DataPath."""
        return {"dataflow": {"inputs": list(self.inputs), "spec_json": self.spec_json}}


def check_spec(spec_json: str) -> None:
    """Go on if the text is one JSON value, of any depth that can be read, or InvalidDataflow."""
    try:
        json.loads(spec_json, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise InvalidDataflow from error


def _refuse(constant: str) -> None:
    # NaN and Infinity, which Python takes for JSON.
    raise ValueError(constant)


Definition: TypeAlias = DataPath | Dataflow


def definition_from(document: Mapping[str, Any] | None, datastores: Mapping[str, str] = _NO_NAMES) -> Definition | None:
    """The definition that ``document()`` has written; None for rows that were pushed.

    Args:
        datastores: the resource names of datastores, by their uids, as of now.
    """
    if document is None:
        return None
    if "dataflow" in document:
        return Dataflow(document["dataflow"]["spec_json"], tuple(document["dataflow"]["inputs"]))
    path = document["data_path"]
    kind = next(kind for kind in PathKind if kind.value in path)
    return DataPath(path["datastore"], kind, path[kind.value], path["split_by"], datastores.get(path["datastore"], ""))
