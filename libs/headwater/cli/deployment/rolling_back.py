"""``headwater deployment rollback`` and ``resume``."""

from headwater import deployments, references
from headwater.cli.deployment.app import AsJson, app, told
from headwater.cli.model import words
from headwater.client import Connection
from headwater.inference.v1 import deployments_pb2
from headwater.names import DEFAULT_PROJECT


@app.command
def rollback(
    name: str, *, reason: str, version: str = "", in_json: AsJson = False, project: str = DEFAULT_PROJECT
) -> None:
    """Serve an earlier version, until the stage or alias chooses another one or you say resume.

    Parameters
    ----------
    name
        The served name.
    reason
        Why.
    version
        The one to serve: 3, or v1.2.3. Unless given, the last one that served well.
    in_json
        Print the deployment as JSON, instead of one line.
    project
        The project of the deployment.
    """
    with Connection.discover() as connection:
        decided = deployments.roll_back(connection, references.deployment(name, project), reason, version=version)
    told(decided, f"goes back to {f'version {version}' if version else 'the last version that served well'}", in_json)


@app.command
def resume(name: str, *, in_json: AsJson = False, project: str = DEFAULT_PROJECT) -> None:
    """Serve again what the stage or alias chooses.

    Parameters
    ----------
    name
        The served name.
    in_json
        Print the deployment as JSON, instead of one line.
    project
        The project of the deployment.
    """
    with Connection.discover() as connection:
        decided = deployments.resume(connection, references.deployment(name, project))
    told(decided, f"goes by its {_selector(decided)} again", in_json)


def _selector(deployment: deployments_pb2.Deployment) -> str:
    """``alias served``."""
    if deployment.WhichOneof("selector") == "stage":
        return f"stage {words.stage(deployment.stage)}"
    return f"alias {deployment.alias}" if deployment.alias else f"version {deployment.version}"
