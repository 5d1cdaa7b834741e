"""The application that the commands of ``headwater deployment`` register with."""

from typing import Annotated

import cyclopts

from headwater.cli.render import as_json, output
from headwater.inference.v1 import deployments_pb2

app = cyclopts.App(name="deployment", help="What is served, and by which version.")

AsJson = Annotated[bool, cyclopts.Parameter(name="--json", negative="")]


def state_of(deployment: deployments_pb2.Deployment) -> str:
    """How it stands, in one word."""
    return deployments_pb2.Deployment.State.Name(deployment.state).removeprefix("STATE_").lower()


def told(deployment: deployments_pb2.Deployment, what: str, in_json: bool) -> None:
    """Print in one line what was changed and how the deployment stands now, or all of it as JSON."""
    if in_json:
        as_json(deployment)
        return
    serves = deployment.model_version.rpartition("/")[2]
    now = f"{state_of(deployment)}, version {serves} answers" if serves else state_of(deployment)
    output.print(f"{deployment.name.rpartition('/')[2]}: {what}; it is {now}", markup=False)
