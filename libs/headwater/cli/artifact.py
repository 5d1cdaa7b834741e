"""``headwater artifact``: immutable bytes by digest, and what runs made."""

from pathlib import Path

import cyclopts

from headwater import artifacts, references, run_artifacts
from headwater.cli.render import facts, table
from headwater.client import Connection
from headwater.datasets import promoting
from headwater.errors import InvalidArgument
from headwater.names import DEFAULT_PROJECT
from headwater.registry.v1 import artifacts_pb2

app = cyclopts.App(name="artifact", help="Immutable bytes by digest, and what runs made.")


@app.command
def upload(file: Path, *, project: str = DEFAULT_PROJECT) -> None:
    """Store a file; one that was cut off goes on where it stood.

    Parameters
    ----------
    file
        The file.
    project
        The project that is to have it.
    """
    with Connection.discover() as connection:
        _show(artifacts.upload(connection, file, project=project))


@app.command(name="import")
def import_(uri: str, *, digest: str = "", project: str = DEFAULT_PROJECT) -> None:
    """Let the registry fetch a file from object storage; its operator says from which places.

    Parameters
    ----------
    uri
        s3://models/resnet50/model.safetensors, for example.
    digest
        The digest that it must have, sha256: and 64 hex digits.
    project
        The project that is to have it.
    """
    with Connection.discover() as connection:
        _show(artifacts.import_(connection, uri, digest=digest, project=project))


@app.command
def download(artifact: str, target: Path, *, project: str = DEFAULT_PROJECT) -> None:
    """Write the bytes of an artifact to a file, which appears when they are complete and checked.

    Parameters
    ----------
    artifact
        Its digest, or its resource name.
    target
        The file.
    project
        The project that has it.
    """
    with Connection.discover() as connection:
        artifacts.download(connection, references.artifact(artifact, project), target)
    facts(written=target)


@app.command
def attach(
    run: str,
    file: Path | None = None,
    *,
    path: str = "",
    kind: str = "",
    datastore: str = "",
    place: str = "",
    project: str = DEFAULT_PROJECT,
) -> None:
    """Keep a file as something that a run made, or note a place in a datastore as that.

    Parameters
    ----------
    run
        The run, by its id or resource name.
    file
        The file to keep; none where a place is noted.
    path
        Where it is among what the run made, logs/stdout.txt for example; the file's name when left out.
    kind
        log, model or data; anything when left out.
    datastore
        The datastore that the place is in.
    place
        The place in it: a file, a folder ending in /, a table or a query.
    project
        The project of the run.
    """
    name = references.run(run, project)
    with Connection.discover() as connection:
        if file is not None and not datastore and not place:
            made = run_artifacts.attach(connection, name, file, path=path, kind=kind)
        elif file is None and datastore and place:
            where = references.datastore(datastore, project)
            made = run_artifacts.refer(connection, name, where, place, path=path, kind=kind)
        else:
            raise InvalidArgument("Give a file, or a datastore and a place in it.", field="file")
    facts(name=made.name, path=made.path, bytes=f"{made.size_bytes:,}" if made.size_bytes else "")


@app.command(name="list")
def list_(run: str, *, below: str = "", project: str = DEFAULT_PROJECT) -> None:
    """List what a run made.

    Parameters
    ----------
    run
        The run, by its id or resource name.
    below
        Only what lies below this folder.
    project
        The project of the run.
    """
    with Connection.discover() as connection:
        rows = [
            (
                made.path,
                run_artifacts.kind_name(made),
                f"{made.size_bytes:,}" if made.artifact else "",
                made.artifact.rpartition("/")[2] or f"{made.data_path.datastore}:{made.data_path.path}",
            )
            for made in run_artifacts.made_by(connection, references.run(run, project), below=below)
        ]
    table(("path", "kind", "bytes", "digest or place"), rows)


@app.command
def fetch(run: str, folder: Path, *, below: str = "", project: str = DEFAULT_PROJECT) -> None:
    """Download what a run made into a folder. Places in datastores are named and left where they are.

    Parameters
    ----------
    run
        The run, by its id or resource name.
    folder
        The folder; it is made when it is not there.
    below
        Only what lies below this folder of the run.
    project
        The project of the run.
    """
    with Connection.discover() as connection:
        rows = [
            (made.path, run_artifacts.download(connection, made, folder))
            if made.artifact
            else (made.path, f"at {made.data_path.datastore}:{made.data_path.path}")
            for made in run_artifacts.made_by(connection, references.run(run, project), below=below)
        ]
    table(("path", "file"), rows)


@app.command
def promote(run: str, path: str, dataset: str, *, message: str = "", project: str = DEFAULT_PROJECT) -> None:
    """Make a dataset version of data that a run made: of bytes their rows, of a place the place (M-16).

    Parameters
    ----------
    run
        The run, by its id or resource name.
    path
        What it made.
    dataset
        The dataset, which may be new.
    message
        What the version is, for its history.
    project
        The project of the run.
    """
    with Connection.discover() as connection:
        version = promoting.promote(connection, references.run(run, project), path, dataset, message=message)
    facts(dataset=version)


def _show(artifact: artifacts_pb2.Artifact) -> None:
    facts(name=artifact.name, digest=artifact.digest, bytes=f"{artifact.size_bytes:,}", file=artifact.filename)
