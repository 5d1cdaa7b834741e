"""``headwater deployment options`` and ``configure``."""

import json
from pathlib import Path

from headwater import deployment_options, references
from headwater.cli.deployment.app import AsJson, app, told
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
def configure(name: str, file: Path, *, in_json: AsJson = False, project: str = DEFAULT_PROJECT) -> None:
    """Change options of a deployment. Each that the file has is replaced as a whole; what it leaves out stays.

    Parameters
    ----------
    name
        The served name.
    file
        YAML or JSON: ``batching: {max_batch_size: 32}``, for example.
    in_json
        Print the deployment as it is now as JSON, instead of one line.
    project
        The project of the deployment.
    """
    wanted = deployment_options.read(file)
    with Connection.discover() as connection:
        changed = deployment_options.configure(connection, references.deployment(name, project), wanted)
    told(changed, f"{', '.join(wanted)} changed", in_json)
