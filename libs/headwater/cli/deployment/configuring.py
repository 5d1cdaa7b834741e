"""``headwater deployment options`` and ``configure``."""

import json
from pathlib import Path

from headwater import deployment_options, references
from headwater.cli.deployment.app import app
from headwater.client import Connection
from headwater.names import DEFAULT_PROJECT


@app.command
def options(name: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Print how a deployment batches, caches, routes and records, as JSON that ``configure`` takes.

    Parameters
    ----------
    name
        The served name.
    project
        The project of the deployment.
    """
    with Connection.discover() as connection:
        print(json.dumps(deployment_options.current(connection, references.deployment(name, project)), indent=2))


@app.command
def configure(name: str, file: Path, *, project: str = DEFAULT_PROJECT) -> None:
    """Change options of a deployment. Each that the file has is replaced as a whole; what it leaves out stays.

    Parameters
    ----------
    name
        The served name.
    file
        YAML or JSON: ``batching: {max_batch_size: 32}``, for example.
    project
        The project of the deployment.
    """
    wanted = deployment_options.read(file)
    with Connection.discover() as connection:
        deployment_options.configure(connection, references.deployment(name, project), wanted)
