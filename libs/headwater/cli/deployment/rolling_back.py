"""``headwater deployment rollback`` and ``resume``."""

from headwater import deployments, references
from headwater.cli.deployment.app import app
from headwater.client import Connection
from headwater.names import DEFAULT_PROJECT


@app.command
def rollback(name: str, *, reason: str, version: str = "", project: str = DEFAULT_PROJECT) -> None:
    """Serve an earlier version, until the stage or alias chooses another one or you say resume.

    Parameters
    ----------
    name
        The served name.
    reason
        Why.
    version
        The one to serve: 3, or v1.2.3. Unless given, the last one that served well.
    project
        The project of the deployment.
    """
    with Connection.discover() as connection:
        deployments.roll_back(connection, references.deployment(name, project), reason, version=version)


@app.command
def resume(name: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Serve again what the stage or alias chooses.

    Parameters
    ----------
    name
        The served name.
    project
        The project of the deployment.
    """
    with Connection.discover() as connection:
        deployments.resume(connection, references.deployment(name, project))
