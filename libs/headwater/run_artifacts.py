"""What runs made, from Python: logs, models and data, as bytes that Headwater keeps or as places in datastores."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final, TypeAlias

from headwater import artifacts
from headwater.client import Connection
from headwater.errors import FailedPrecondition, InvalidArgument, NotFound
from headwater.names import ArtifactName, DatastoreName, RunName
from headwater.pages import pages
from headwater.registry.v1 import runs_pb2, runs_pb2_grpc

RunArtifact: TypeAlias = runs_pb2.RunArtifact

KINDS: Final = {
    "": RunArtifact.KIND_UNSPECIFIED,
    "log": RunArtifact.KIND_LOG,
    "model": RunArtifact.KIND_MODEL,
    "data": RunArtifact.KIND_DATA,
}
_MEDIA_TYPES: Final = {".txt": "text/plain", ".log": "text/plain", ".html": "text/html", ".json": "application/json"}


class NotBytes(FailedPrecondition):
    """What the run made is a place in a datastore: Headwater has no bytes of it."""

    reason = "RUN_ARTIFACT_IS_PLACE"
    text = "What the run made is a place in a datastore; read it there."


class RunArtifactNotFound(NotFound):
    """The run made no such thing."""

    reason = "RUN_ARTIFACT_NOT_FOUND"
    text = "The run made no such thing."


def attach(connection: Connection, run: RunName, file: Path, *, path: str = "", kind: str = "") -> RunArtifact:
    """Keep a file's bytes as something that ``run`` made, under ``path`` (the file's name where it is empty).

    Raises:
        InvalidArgument: no such kind, or no such path can be.
        AlreadyExists: the run made something else under this path.
    """
    stored = artifacts.upload(connection, file, project=run.project)
    made = RunArtifact(
        path=path or file.name,
        kind=_kind(kind),
        artifact=stored.name,
        media_type=_MEDIA_TYPES.get(PurePosixPath(path or file.name).suffix.lower(), ""),
    )
    return _create(connection, run, made)


def refer(
    connection: Connection, run: RunName, datastore: DatastoreName, place: str, *, path: str, kind: str = ""
) -> RunArtifact:
    """Note a place in a datastore as something that ``run`` made: M-35."""
    made = RunArtifact(path=path, kind=_kind(kind))
    made.data_path.datastore, made.data_path.path = str(datastore), place
    return _create(connection, run, made)


def made_by(connection: Connection, run: RunName, *, below: str = "") -> Iterator[RunArtifact]:
    """All that ``run`` made, by path; only what lies below a folder where one is given."""
    request = runs_pb2.ListRunArtifactsRequest(parent=str(run), path=below, page_size=1000)
    for page in pages(_runs(connection).ListRunArtifacts, request):
        yield from page.run_artifacts


def download(connection: Connection, made: RunArtifact, folder: Path) -> Path:
    """Write the bytes of what a run made to its path below ``folder``; where they are.

    Raises:
        NotBytes
    """
    if made.WhichOneof("place") != "artifact":
        raise NotBytes(run_artifact=made.name)
    target = folder.joinpath(*PurePosixPath(made.path).parts)  # the registry takes no path that leaves its folder
    target.parent.mkdir(parents=True, exist_ok=True)
    artifacts.download(connection, ArtifactName.parse(made.artifact), target)
    return target


def kind_name(made: RunArtifact) -> str:
    """``log``, ``model``, ``data`` or empty."""
    return next(name for name, kind in KINDS.items() if kind == made.kind)


def find(connection: Connection, run: RunName, path: str) -> RunArtifact:
    """What ``run`` made under ``path``.

    Raises:
        RunArtifactNotFound
    """
    for made in made_by(connection, run, below=path):
        if made.path == path:
            return made
    raise RunArtifactNotFound(run=run, path=path)


def _create(connection: Connection, run: RunName, made: RunArtifact) -> RunArtifact:
    return _runs(connection).CreateRunArtifact(runs_pb2.CreateRunArtifactRequest(parent=str(run), run_artifact=made))


def _runs(connection: Connection) -> runs_pb2_grpc.RunServiceStub:
    return runs_pb2_grpc.RunServiceStub(connection.channel("registry"))


def _kind(text: str) -> RunArtifact.Kind.ValueType:
    if text not in KINDS:
        raise InvalidArgument(f"No kind {text!r}; there are {', '.join(filter(None, KINDS))}.", kind=text)
    return KINDS[text]
