"""What a deployment says beside its model and version (batching, cache, routing, …), from Python and from files.

Options are written as the API's JSON, the fields of headwater.inference.v1.Deployment, in YAML or JSON; times may have
other units than seconds, and names of enumerations may be short (see option_words).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from google.protobuf.field_mask_pb2 import FieldMask

from headwater import marked_yaml
from headwater.client import Connection
from headwater.errors import InvalidArgument
from headwater.inference.v1 import deployments_pb2, deployments_pb2_grpc
from headwater.names import DeploymentName
from headwater.option_words import spelled

_LIMITS = marked_yaml.Limits(max_characters=2**20, max_depth=24, max_values=10_000)
_DEPLOYMENT = deployments_pb2.Deployment.DESCRIPTOR
_ABOUT = frozenset({
    "name", "uid", "model", "stage", "alias", "version", "state", "model_version", "model_digest", "failure",
    "create_time", "update_time", "created_by", "etag", "warning",
})  # fmt: skip
_NEVER_ZERO = frozenset({
    *("batching.max_batch_size", "batching.max_queue_size", "batching.default_priority_level"),
    *("cache.max_bytes", "cache.max_entries", "recording.max_body_bytes"),
    *("drift.first_rows", "drift.window_ms", "drift.min_rows", "drift.warn_psi", "drift.alert_psi"),
    *("drift.warn_ks", "drift.alert_ks", "drift.false_alarms"),
    *("guard.window_ms", "guard.breaker.consecutive_failures", "guard.breaker.min_requests"),
    *("guard.breaker.max_error_rate", "guard.breaker.open_ms", "guard.breaker.max_open_ms", "guard.breaker.probes"),
    *("guard.breaker.min_callers", "guard.rollback.after_open_ms", "guard.rollback.probation_ms"),
    *("guard.rollback.max_error_rate", "engine.threads", "engine.instances"),
})  # fmt: skip
"""Options of which the API takes 0 for not given, so that they would have their defaults where somebody writes 0."""
_SNAKE = {field.json_name: field.name for field in _DEPLOYMENT.fields}
_OPTIONS = [field.name for field in _DEPLOYMENT.fields if field.name not in _ABOUT]


def read(path: Path) -> Mapping[str, Any]:
    """The options in a YAML or JSON file.

    Raises:
        InvalidArgument: it cannot be read, or holds no mapping.
    """
    try:
        options = marked_yaml.compose(path.read_bytes(), _LIMITS).value()
    except (OSError, marked_yaml.YamlFault) as error:
        raise InvalidArgument(f"{path}: {error}", field="options") from error
    if not isinstance(options, dict):
        raise InvalidArgument(f"{path} must hold options by name, batching for example.", field="options")
    return options


def configure(
    connection: Connection, name: DeploymentName, options: Mapping[str, Any], *, etag: str = ""
) -> deployments_pb2.Deployment:
    """Change these options of a deployment, each as a whole; others stay as they are.

    Raises:
        InvalidArgument: there are none, one is not known, or it does not make sense.
        Aborted: ``etag`` is given and is not the current one.
    """
    if not options:
        raise InvalidArgument("There is nothing to change.", field="options")
    deployment = parsed(options)
    deployment.name, deployment.etag = str(name), etag
    paths = [field.name for field in _DEPLOYMENT.fields if field.name in options or field.json_name in options]
    request = deployments_pb2.UpdateDeploymentRequest(deployment=deployment, update_mask=FieldMask(paths=paths))
    return _deployments(connection).UpdateDeployment(request)


def parsed(options: Mapping[str, Any]) -> deployments_pb2.Deployment:
    """A deployment that has these options and nothing else.

    Raises:
        InvalidArgument: one is not known, or is no option, or is 0 where that would stand for its default.
    """
    for each in options:
        if _SNAKE.get(each, each) not in _OPTIONS:
            raise InvalidArgument(
                f"{each} is no option of a deployment; there are {', '.join(_OPTIONS)}.", field=str(each)
            )
    deployment = deployments_pb2.Deployment()
    written = spelled(options, _DEPLOYMENT)
    _check_zeros(written)
    try:
        json_format.ParseDict(written, deployment)
    except json_format.ParseError as error:  # a number that is too large, for example
        raise InvalidArgument(f"These are no options of a deployment: {error}", field="options") from error
    return deployment


def _check_zeros(options: Mapping[str, Any], where: str = "") -> None:
    for key, value in options.items():
        at = f"{where}{key}"
        if isinstance(value, Mapping):
            _check_zeros(value, f"{at}.")
        elif at in _NEVER_ZERO and value is not None and float(value) == 0:
            raise InvalidArgument(f"{at} cannot be 0; leave it out for its default.", field=at)


def current(connection: Connection, name: DeploymentName) -> Mapping[str, Any]:
    """The options that hold, as :func:`configure` takes them."""
    deployment = _deployments(connection).GetDeployment(deployments_pb2.GetDeploymentRequest(name=str(name)))
    shown = json_format.MessageToDict(deployment, preserving_proto_field_name=True)
    return {key: value for key, value in shown.items() if key not in _ABOUT}


def _deployments(connection: Connection) -> deployments_pb2_grpc.DeploymentServiceStub:
    return deployments_pb2_grpc.DeploymentServiceStub(connection.channel("inference"))
