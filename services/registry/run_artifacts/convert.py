"""What runs made, between proto and domain."""

from headwater.names import ArtifactName, DatastoreName, RunName
from headwater.registry.v1 import runs_pb2
from services.registry import convert
from services.registry.artifacts.model import digest_in
from services.registry.run_artifacts.model import Kind, NewRunArtifact, Place, RunArtifact

_GIVEN = ("path", "kind", "artifact", "data_path", "media_type")


def new_run_artifact(message: runs_pb2.RunArtifact, run: RunName) -> NewRunArtifact:
    """What the request says of it, checked.

    Raises:
        InvalidField: a field that cannot be set, or a place in another project.
    """
    convert.refuse_other_fields(message, _GIVEN, "run_artifact")
    return NewRunArtifact(message.path, Kind(message.kind), _place(message, run), message.media_type)


def to_proto(made: RunArtifact) -> runs_pb2.RunArtifact:
    """It as a message."""
    message = runs_pb2.RunArtifact(
        name=str(made.name),
        uid=made.id,
        path=made.path,
        kind=runs_pb2.RunArtifact.Kind.ValueType(made.kind),
        media_type=made.media_type,
        size_bytes=made.size_bytes,
        create_time=convert.timestamp(made.create_time),
        created_by=made.created_by,
    )
    match made.place:
        case Place(datastore, path):
            message.data_path.datastore, message.data_path.path = str(datastore), path
        case artifact:
            message.artifact = str(artifact)
    return message


def _place(message: runs_pb2.RunArtifact, run: RunName) -> ArtifactName | Place:
    if message.WhichOneof("place") == "artifact":
        artifact = ArtifactName.parse(message.artifact, "run_artifact.artifact")
        digest_in(artifact)
        _check_project(artifact.project, run, "run_artifact.artifact")
        return artifact
    datastore = DatastoreName.parse(message.data_path.datastore, "run_artifact.data_path.datastore")
    _check_project(datastore.project, run, "run_artifact.data_path.datastore")
    return Place(datastore, message.data_path.path)


def _check_project(project: str, run: RunName, field: str) -> None:
    if project != run.project:
        raise convert.InvalidField(f"{field} must be in the project of the run.", field=field)
