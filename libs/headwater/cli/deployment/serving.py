"""``headwater deployment create``, ``update``, ``unload``, ``load``, ``archive`` and ``list``."""

from pathlib import Path

from rich.markup import escape

from headwater import deployment_options, deployments, model_pointers, models, references, traffic
from headwater.cli.deployment.app import AsJson, app, state_of
from headwater.cli.render import as_json, errors, facts, table, warn
from headwater.client import Connection
from headwater.errors import DeadlineExceeded
from headwater.inference.v1 import deployments_pb2
from headwater.names import DEFAULT_PROJECT, DeploymentName, ModelVersionName, ProjectName


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
    in_json: AsJson = False,
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
        Return only when the deployment answers; if it does not, say why, and fail.
    in_json
        Print the deployment as JSON.
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
            deployment = _answering(connection, deployed)
    print_deployment(deployment, in_json)


@app.command
def update(
    name: str, version: str, *, wait: bool = False, in_json: AsJson = False, project: str = DEFAULT_PROJECT
) -> None:
    """Let another version be the main one as soon as it is loaded. What answers until then is printed.

    To let it take over by steps, use ``rollout start``.

    Parameters
    ----------
    name
        The served name.
    version
        3 or v1.2.3 is a version; production and staging are stages, which are followed, and so is any other word, an
        alias.
    wait
        Return only when that version answers; if it does not, say why, and fail.
    in_json
        Print the deployment as JSON.
    project
        The project of the deployment.
    """
    deployed = references.deployment(name, project)
    with Connection.discover() as connection:
        deployment = traffic.serve(connection, deployed, version)
        if wait:
            deployment = _taken_over(connection, deployed, _version(connection, deployment, version))
    print_deployment(deployment, in_json)


@app.command
def unload(name: str, *, in_json: AsJson = False, project: str = DEFAULT_PROJECT) -> None:
    """Let a deployment answer no more, and free its memory, until it is loaded again.

    Parameters
    ----------
    name
        The served name.
    in_json
        Print the deployment as JSON.
    project
        The project of the deployment.
    """
    with Connection.discover() as connection:
        print_deployment(deployments.unload(connection, references.deployment(name, project)), in_json)


@app.command
def load(name: str, *, wait: bool = True, in_json: AsJson = False, project: str = DEFAULT_PROJECT) -> None:
    """Let a deployment answer again that was unloaded.

    Parameters
    ----------
    name
        The served name.
    wait
        Return only when the deployment answers.
    in_json
        Print the deployment as JSON.
    project
        The project of the deployment.
    """
    deployed = references.deployment(name, project)
    with Connection.discover() as connection:
        deployment = deployments.load(connection, deployed)
        if wait:
            deployment = deployments.wait_until_ready(connection, deployed, tell=_tell)
    print_deployment(deployment, in_json)


@app.command
def archive(name: str, *, in_json: AsJson = False, project: str = DEFAULT_PROJECT) -> None:
    """Serve a deployment no more and free its name, for good. Its records stay.

    Parameters
    ----------
    name
        The served name.
    in_json
        Print the deployment as JSON.
    project
        The project of the deployment.
    """
    with Connection.discover() as connection:
        print_deployment(deployments.archive(connection, references.deployment(name, project)), in_json)


@app.command(name="list")
def list_(*, project: str = DEFAULT_PROJECT) -> None:
    """List the deployments of a project."""
    with Connection.discover() as connection:
        rows = [
            (deployment.name, state_of(deployment), deployment.model_version, deployment.failure)
            for deployment in deployments.every(connection, ProjectName(project))
        ]
    table(("deployment", "state", "serves", "failure"), rows)


def _answering(connection: Connection, name: DeploymentName) -> deployments_pb2.Deployment:
    """The new deployment once it answers. Where it does not, it is there all the same, and its maker is told so."""
    try:
        return deployments.wait_until_ready(connection, name, tell=_tell)
    except (deployments.DeploymentFailed, DeadlineExceeded):
        again = "headwater deployment configure, update or archive"
        warn([f"{name.deployment} is there all the same and goes on trying; change or remove it: {again}."])
        raise


def _taken_over(connection: Connection, name: DeploymentName, version: ModelVersionName) -> deployments_pb2.Deployment:
    """The deployment once ``version`` answers. Else what was asked for stays, and its maker is told so."""
    try:
        return deployments.wait_until_serves(connection, name, version, tell=_tell)
    except (deployments.DeploymentFailed, DeadlineExceeded):
        warn([f"{name.deployment} is to serve version {version.version} all the same; update it again to change that."])
        raise


def _version(connection: Connection, deployment: deployments_pb2.Deployment, text: str) -> ModelVersionName:
    """What ``text`` means for the deployment, by number; the registry knows what others stand for."""
    if text.isdecimal():
        return ModelVersionName.parse(f"{deployment.model}/versions/{int(text)}")
    return ModelVersionName.parse(model_pointers.resolve(connection, f"{deployment.model}@{text}").name)


def _tell(reason: str) -> None:
    errors.print(f"[dim]{escape(reason)}[/]")


def print_deployment(deployment: deployments_pb2.Deployment, in_json: bool = False) -> None:
    """What it is, which version answers, and what its users should know."""
    if in_json:
        as_json(deployment)
        return
    facts(
        deployment=deployment.name,
        state=state_of(deployment),
        serves=deployment.model_version,
        digest=deployment.model_digest,
        failure=deployment.failure,
    )
    warn([deployment.warning] if deployment.warning else [])
