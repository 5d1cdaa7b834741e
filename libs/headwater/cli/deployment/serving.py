"""``headwater deployment create``, ``update`` and ``list``."""

from pathlib import Path

from headwater import deployment_options, deployments, models, references, traffic
from headwater.cli.deployment.app import app, state_of
from headwater.cli.render import facts, table, warn
from headwater.client import Connection
from headwater.inference.v1 import deployments_pb2, deployments_pb2_grpc
from headwater.names import DEFAULT_PROJECT, ProjectName


@app.command
def create(
    name: str,
    *,
    model: str,
    stage: str | None = None,
    alias: str | None = None,
    version: str | None = None,
    takes: str = "either",
    options: Path | None = None,
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
    options
        YAML or JSON as ``configure`` takes it: ``engine: {instances: 2}``, for example.
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
            options=deployment_options.read(options) if options else None,
        )
        if wait:
            deployment = deployments.wait_until_ready(connection, deployed)
    print_deployment(deployment)


@app.command
def update(name: str, version: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Let another version be the main one as soon as it is loaded. What answers until then is printed.

    To let it take over by steps, use ``rollout start``.

    Parameters
    ----------
    name
        The served name.
    version
        3 or v1.2.3 is a version; production and staging are stages, which are followed, and so is any other word, an
        alias.
    project
        The project of the deployment.
    """
    with Connection.discover() as connection:
        deployment = traffic.serve(connection, references.deployment(name, project), version)
    print_deployment(deployment)


@app.command(name="list")
def list_(*, project: str = DEFAULT_PROJECT) -> None:
    """List the deployments of a project."""
    with Connection.discover() as connection:
        stub = deployments_pb2_grpc.DeploymentServiceStub(connection.channel("inference"))
        request = deployments_pb2.ListDeploymentsRequest(parent=str(ProjectName(project)), page_size=1000)
        rows = [
            (deployment.name, state_of(deployment), deployment.model_version, deployment.failure)
            for deployment in stub.ListDeployments(request).deployments
        ]
    table(("deployment", "state", "serves", "failure"), rows)


def print_deployment(deployment: deployments_pb2.Deployment) -> None:
    """What it is, which version answers, and what its users should know."""
    facts(
        deployment=deployment.name,
        state=state_of(deployment),
        serves=deployment.model_version,
        digest=deployment.model_digest,
        failure=deployment.failure,
    )
    warn([deployment.warning] if deployment.warning else [])
