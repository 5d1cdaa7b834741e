"""``headwater deployment``: what is served."""

import cyclopts

from headwater import deployments, models, references
from headwater.cli.render import facts, table, warn
from headwater.client import Connection
from headwater.inference.v1 import deployments_pb2, deployments_pb2_grpc
from headwater.names import DEFAULT_PROJECT, ProjectName

app = cyclopts.App(name="deployment", help="What is served, and by which version.")


@app.command
def create(
    name: str,
    *,
    model: str,
    stage: str | None = None,
    alias: str | None = None,
    version: str | None = None,
    takes: str = "either",
    wait: bool = True,
    project: str = DEFAULT_PROJECT,
) -> None:
    """Serve a model under a name that Open Inference Protocol clients ask for.

    Parameters
    ----------
    name
        The served name.
    model
        digits, for example.
    stage
        Serve the version that holds this stage, following it as it moves.
    alias
        Serve the version that this alias points to, following it as it moves.
    version
        Serve this version: 3, or v1.2.3.
    takes
        What requests may bring: raw, image files for the pipeline recorded with the version; tensors, the inputs of the
        model; or either.
    wait
        Return only when the deployment answers.
    project
        The project of both.
    """
    deployed = references.deployment(name, project)
    with Connection.discover() as connection:
        deployment = deployments.create(
            connection,
            deployed,
            references.model(model, project),
            stage=models.stage(stage) if stage else None,
            alias=alias,
            version=version,
            takes=takes,
        )
        if wait:
            deployment = deployments.wait_until_ready(connection, deployed)
    facts(
        deployment=deployment.name,
        state=_state(deployment),
        serves=deployment.model_version,
        digest=deployment.model_digest,
    )
    warn([deployment.warning] if deployment.warning else [])


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


@app.command(name="list")
def list_(*, project: str = DEFAULT_PROJECT) -> None:
    """List the deployments of a project."""
    with Connection.discover() as connection:
        stub = deployments_pb2_grpc.DeploymentServiceStub(connection.channel("inference"))
        request = deployments_pb2.ListDeploymentsRequest(parent=str(ProjectName(project)), page_size=1000)
        rows = [
            (deployment.name, _state(deployment), deployment.model_version, deployment.failure)
            for deployment in stub.ListDeployments(request).deployments
        ]
    table(("deployment", "state", "serves", "failure"), rows)


def _state(deployment: deployments_pb2.Deployment) -> str:
    return deployments_pb2.Deployment.State.Name(deployment.state).removeprefix("STATE_").lower()
