"""Deployments from Python: serve a model by its stage, an alias or a version."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from headwater import deployment_options
from headwater.client import Connection
from headwater.errors import DeadlineExceeded, FailedPrecondition, InvalidArgument
from headwater.inference.v1 import deployments_pb2, deployments_pb2_grpc, preparing_pb2
from headwater.models import Stage
from headwater.names import DeploymentName, ModelName, ModelVersionName, ProjectName
from headwater.pages import pages

TAKES: Final = {
    "either": preparing_pb2.Preparing.INPUT_UNSPECIFIED,
    "raw": preparing_pb2.Preparing.INPUT_RAW,
    "tensors": preparing_pb2.Preparing.INPUT_TENSORS,
}
"""What requests may bring, as people write it."""
_POLL_S = 0.2
_NOT_AS_WANTED = (deployments_pb2.Deployment.STATE_FAILED, deployments_pb2.Deployment.STATE_ROLLED_BACK)


class DeploymentFailed(FailedPrecondition):
    """The version that the deployment should serve cannot be loaded."""

    reason = "DEPLOYMENT_FAILED"


def create(
    connection: Connection,
    name: DeploymentName,
    model: ModelName,
    *,
    stage: Stage | None = None,
    alias: str | None = None,
    version: str | None = None,
    max_batch_size: int = 0,
    takes: str = "either",
    options: Mapping[str, Any] | None = None,
) -> deployments_pb2.Deployment:
    """Serve ``model`` as ``name``, by exactly one of its stage, an alias or a version number.

    ``takes`` says what requests may bring: ``raw``, image files for the pipeline that was recorded with the version;
    ``tensors``, the inputs of the model; or ``either``. ``options`` are as deployment_options has them: how the model
    is computed, batched and cached, and more.

    Raises:
        InvalidArgument: unless exactly one of the three is given, or ``takes`` is another word; or the options are
            none, or say what another argument says.
    """
    if takes not in TAKES:
        raise InvalidArgument(f"takes must be one of {', '.join(TAKES)}; it is {takes!r}.", field="takes")
    deployment = deployment_options.parsed(options or {})
    for said, given in (
        (deployment.HasField("batching"), max_batch_size),
        (deployment.HasField("preparing"), TAKES[takes]),
    ):
        if said and given:
            raise InvalidArgument("The options say what an argument does, too.", field="options")
    deployment.model = str(model)
    if max_batch_size:
        deployment.batching.max_batch_size = max_batch_size
    if TAKES[takes]:
        deployment.preparing.input = TAKES[takes]
    selectors = {key: value for key, value in (("stage", stage), ("alias", alias), ("version", version)) if value}
    if len(selectors) != 1:
        raise InvalidArgument("Give exactly one of stage, alias and version.", field="selector")
    for field, value in selectors.items():
        setattr(deployment, field, value)
    request = deployments_pb2.CreateDeploymentRequest(
        parent=str(ProjectName(name.project)),
        deployment_id=name.deployment,
        deployment=deployment,
        request_id=str(uuid.uuid4()),
    )
    return _deployments(connection).CreateDeployment(request)


def wait_until_ready(
    connection: Connection,
    name: DeploymentName,
    *,
    timeout_s: float = 60.0,
    tell: Callable[[str], None] | None = None,
) -> deployments_pb2.Deployment:
    """Return the deployment when it answers; until then ``tell`` gets what it waits for, each reason once.

    Raises:
        DeploymentFailed: when the version it should serve cannot be loaded, or was set aside because it failed; or
            when the deployment is unloaded.
        DeadlineExceeded: when it does not answer within ``timeout_s``; the text says what it waits for.
    """
    deadline = time.monotonic() + timeout_s
    told = ""
    while True:
        deployment = _deployments(connection).GetDeployment(deployments_pb2.GetDeploymentRequest(name=str(name)))
        if deployment.state == deployments_pb2.Deployment.STATE_READY:
            return deployment
        if deployment.state in _NOT_AS_WANTED:
            raise DeploymentFailed(deployment.failure, deployment=name)
        if deployment.state == deployments_pb2.Deployment.STATE_UNLOADED:
            raise DeploymentFailed("The deployment is unloaded: it answers once it is loaded again.", deployment=name)
        if deployment.failure != told:
            told = deployment.failure
            if tell is not None and told:
                tell(told)
        if time.monotonic() > deadline:
            raise DeadlineExceeded(f"{name} did not answer within {timeout_s:g} s. {told}".rstrip(), deployment=name)
        time.sleep(_POLL_S)


def wait_until_serves(
    connection: Connection,
    name: DeploymentName,
    version: ModelVersionName,
    *,
    timeout_s: float = 60.0,
    tell: Callable[[str], None] | None = None,
) -> deployments_pb2.Deployment:
    """Return the deployment when ``version``, named by its number, is the one that answers; what answers meanwhile, or
    failed before, is not waited for. Until then ``tell`` gets what is said of it, each reason once.

    Raises:
        DeploymentFailed: when it cannot be loaded or is set aside, or when the deployment is unloaded.
        DeadlineExceeded: when it does not answer within ``timeout_s``; the text says why, as far as is known.
    """
    deadline = time.monotonic() + timeout_s
    told = ""
    while True:
        deployment = _deployments(connection).GetDeployment(deployments_pb2.GetDeploymentRequest(name=str(name)))
        failure = deployment.failure
        if deployment.state == deployments_pb2.Deployment.STATE_READY and deployment.model_version == str(version):
            return deployment
        if deployment.state == deployments_pb2.Deployment.STATE_UNLOADED:
            raise DeploymentFailed("The deployment is unloaded: it answers once it is loaded again.", deployment=name)
        # Of an earlier version it may be said for a moment that it failed.
        of_this = failure.startswith((f"{version}: ", f"Version {version.version} ")) or (
            deployment.model_version == str(version)
        )
        if deployment.state in _NOT_AS_WANTED and of_this:
            raise DeploymentFailed(failure, deployment=name)
        if failure != told:
            told = failure
            if tell is not None and told:
                tell(told)
        if time.monotonic() > deadline:
            text = f"{name} did not serve version {version.version} within {timeout_s:g} s. {told}".rstrip()
            raise DeadlineExceeded(text, deployment=name)
        time.sleep(_POLL_S)


def every(connection: Connection, project: ProjectName) -> Iterator[deployments_pb2.Deployment]:
    """The deployments of a project that are not archived, by name."""
    request = deployments_pb2.ListDeploymentsRequest(parent=str(project), page_size=1000)
    for page in pages(_deployments(connection).ListDeployments, request):
        yield from page.deployments


def unload(connection: Connection, name: DeploymentName) -> deployments_pb2.Deployment:
    """Let it answer no more and free its memory, until :func:`load`; what was accepted is answered."""
    return deployment_options.configure(connection, name, {"unloaded": True})


def load(connection: Connection, name: DeploymentName) -> deployments_pb2.Deployment:
    """Let it answer again; does not wait for that (see :func:`wait_until_ready`)."""
    return deployment_options.configure(connection, name, {"unloaded": False})


def archive(connection: Connection, name: DeploymentName, *, etag: str = "") -> deployments_pb2.Deployment:
    """Serve it no more and free its name, for good; its records stay.

    Raises:
        Aborted: ``etag`` is given and is not the current one.
    """
    request = deployments_pb2.ArchiveDeploymentRequest(name=str(name), etag=etag)
    return _deployments(connection).ArchiveDeployment(request)


def roll_back(
    connection: Connection, name: DeploymentName, reason: str, *, version: str = ""
) -> deployments_pb2.Deployment:
    """Serve an earlier version and not what the stage or alias chooses, until that chooses another one or
    :func:`resume` is called: ``version``, or else the last one that served well.

    Raises:
        FailedPrecondition: no version is given and none is known (NO_GOOD_VERSION), or the one given cannot be served.
        InvalidArgument: the version given is what is chosen.
    """
    request = deployments_pb2.RollBackDeploymentRequest(name=str(name), version=version, reason=reason)
    return _deployments(connection).RollBackDeployment(request)


def resume(connection: Connection, name: DeploymentName) -> deployments_pb2.Deployment:
    """Serve again what the stage or alias chooses."""
    return _deployments(connection).ResumeDeployment(deployments_pb2.ResumeDeploymentRequest(name=str(name)))


def _deployments(connection: Connection) -> deployments_pb2_grpc.DeploymentServiceStub:
    return deployments_pb2_grpc.DeploymentServiceStub(connection.channel("inference"))
