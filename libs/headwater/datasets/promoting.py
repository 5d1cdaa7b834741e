"""Data that a run made becomes a dataset version (M-16)."""

import tempfile
from pathlib import Path

from headwater import run_artifacts
from headwater.client import Connection
from headwater.datasets import datastores
from headwater.datasets.pushing import push
from headwater.files.source import Source
from headwater.names import DatastoreName, RunName


def promote(connection: Connection, run: RunName, path: str, dataset: str, *, message: str = "") -> str:
    """Make a version of ``dataset``, which may be new, of what ``run`` made under ``path``; its resource name.

    Of bytes the rows are pushed; of a place in a datastore the version is that place, and its rows stay there.

    Raises:
        RunArtifactNotFound
        SourceUnsupported, SourceMalformed: the bytes are not of a format that rows are read from.
        What ``headwater.datasets.push`` and ``headwater.datasets.datastores.link`` raise.
    """
    made = run_artifacts.find(connection, run, path)
    message = message or f"{path} of {run}"
    if made.WhichOneof("place") == "data_path":
        return _link(connection, made, dataset, message, run.project)
    with tempfile.TemporaryDirectory(prefix="headwater-promote-") as folder:
        file = run_artifacts.download(connection, made, Path(folder))
        pushed = push(connection, dataset, Source(file), project=run.project, message=message)
    return pushed.version.name


def _link(connection: Connection, made: run_artifacts.RunArtifact, dataset: str, message: str, project: str) -> str:
    place = made.data_path.path
    datastore = datastores.get(connection, DatastoreName.parse(made.data_path.datastore).datastore, project=project)
    kind = "path" if datastore.WhichOneof("place") != "sql" else "query" if " " in place else "table"
    linked = datastores.link(
        connection, dataset, made.data_path.datastore, message=message, project=project, **{kind: place}
    )
    return linked.dataset_version.name
