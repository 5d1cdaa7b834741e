"""The application that the commands of ``headwater deployment`` register with."""

import cyclopts

from headwater.inference.v1 import deployments_pb2

app = cyclopts.App(name="deployment", help="What is served, and by which version.")


def state_of(deployment: deployments_pb2.Deployment) -> str:
    """How it stands, in one word."""
    return deployments_pb2.Deployment.State.Name(deployment.state).removeprefix("STATE_").lower()
