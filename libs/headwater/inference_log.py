"""Records of inference requests in the words of MLSpec: inferenceLog.yml, inferenceRequest.yml, and the requests and
predictions of its monitoring (M-83…M-87). docs/reference/inference-log.md has each field beside ours.

    record = inference_records.get(connection, name, with_bodies=True)
    print(json.dumps(inference_log.request_of(inference_log.logged(record))))
"""

import dataclasses
import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import json_format

from headwater.inference.v1 import deployments_pb2
from headwater.names import DeploymentName, InferenceRecordName, ModelVersionName
from headwater.tensors import Tensor, from_canonical

REDACTED = "[redacted]"
_JSON = "application/json"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRequest:
    """What is recorded of one request, and what was said of it later."""

    project: str
    request_id: str
    deployment: str
    model_version: str
    model_digest: str
    request_digest: str
    response_digest: str
    caller: str
    request_time: datetime.datetime
    latency_ms: float
    result: str
    response_bytes: int
    inputs: Sequence[tuple[str, str, Sequence[int]]]
    """Name, element type and shape of each input."""
    preprocessing_digest: str = ""
    part_of: str = ""
    is_final: bool = True
    variant: str = ""
    redacted: Sequence[str] = ()
    request_body: bytes = b""
    """The tensors in canonical form (headwater.tensors), where they were recorded."""
    response_body: bytes = b""
    ground_truth: Any = None
    score: float | None = None
    actions: Sequence[str] = ()
    explanation: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def correlation_id(self) -> str:
        """The id that the client was given, which all parts of one request share."""
        return self.part_of or self.request_id

    @property
    def model_id(self) -> str:
        """``digits/3``, the name and version of the model; empty where none was loaded."""
        if not self.model_version:
            return ""
        version = ModelVersionName.parse(self.model_version)
        return f"{version.model}/{version.version}"


def logged(record: deployments_pb2.InferenceRecord) -> LoggedRequest:
    """The record as the API shows it."""
    name = InferenceRecordName.parse(record.name)
    return LoggedRequest(
        project=name.project,
        request_id=name.record,
        deployment=DeploymentName.parse(record.deployment).deployment,
        model_version=record.model_version,
        model_digest=record.model_digest,
        request_digest=record.request_digest,
        response_digest=record.response_digest,
        caller=record.caller,
        request_time=record.request_time.ToDatetime(datetime.UTC),
        latency_ms=record.latency_ms,
        result=record.result_code,
        response_bytes=record.response_size_bytes,
        inputs=[(each.name, each.datatype, list(each.shape)) for each in record.inputs],
        preprocessing_digest=record.preprocessing_digest,
        part_of=record.part_of,
        is_final=record.is_final,
        variant=record.variant,
        redacted=list(record.redacted),
        request_body=record.request_body,
        response_body=record.response_body,
        ground_truth=json_format.MessageToDict(record.ground_truth) if record.HasField("ground_truth") else None,
        score=record.feedback_score if record.HasField("feedback_score") else None,
        actions=list(record.feedback_actions),
        explanation=dict(record.explanation),
    )


def log_of(parts: Sequence[LoggedRequest]) -> dict[str, Any]:
    """inferenceLog.yml: one request, with every model that was asked for it. ``parts`` are its records, and one of them
    is the final one.

    Raises:
        ValueError: they are not of one request, or none is final.
    """
    if len({part.correlation_id for part in parts}) != 1:
        raise ValueError("these records are not of one request")
    final = next((part for part in parts if part.is_final), None)
    if final is None:
        raise ValueError("none of these records is the final one")
    return {
        "applicationInfo": _application(final),
        "requestInfo": {
            "requestId": final.correlation_id,
            "requestTimestamp": _time(final),
            "requestLatency": final.latency_ms,
        },
        "modelInfo": {"models": list(dict.fromkeys(part.model_id for part in parts if part.model_id))},
    }


def request_of(request: LoggedRequest, columns: Mapping[str, Sequence[str]] | None = None) -> dict[str, Any]:
    """inferenceRequest.yml. The values of features, and the prediction, are there when they were recorded.

    ``columns`` has the names of the columns of inputs that have some: each of them is a feature then.
    """
    names, values = _features(request, columns or {})
    return {
        "applicationInfo": _application(request),
        "requestInfo": {
            "requestId": request.correlation_id,
            "requestTimestamp": _time(request),
            "requestLatencyMs": request.latency_ms,
        },
        "resultInfo": {"resultCode": request.result, "resultSizeInBytes": request.response_bytes},
        "inputs": {"featureNames": names, "featureValues": values},
        "prediction": {
            "predictionMimeType": _JSON if request.response_body else "",
            "predictionData": _prediction(request),
        },
    }


def monitored_request(request: LoggedRequest) -> dict[str, Any]:
    """The inference request of MLSpec's monitoring."""
    return {
        "applicationId": request.caller,
        "requestId": request.correlation_id,
        "requestTimestamp": _time(request),
        "inputType": "tensor",
        "inputFeatures": _input_features(request),
        "groundTruthLabel": request.ground_truth,
    }


def monitored_prediction(request: LoggedRequest) -> dict[str, Any]:
    """The inference prediction of MLSpec's monitoring: one for each model that was asked, of which one is final."""
    return {
        "applicationId": request.caller,
        "requestId": request.correlation_id,
        "modelId": request.model_id,
        "inferenceServiceId": str(DeploymentName(request.project, request.deployment)),
        "requestTimestamp": _time(request),
        "inferenceLatency": request.latency_ms,
        "inputFeatures": _input_features(request),
        "prediction": _prediction(request),
        "predictionExplanation": dict(request.explanation),
        "predictionFeedback": request.score,
        "feedbackActions": list(request.actions),
        "isFinal": request.is_final,
    }


def _application(request: LoggedRequest) -> dict[str, str]:
    return {"applicationId": request.caller, "applicationEndpoint": f"/v2/models/{request.deployment}/infer"}


def _time(request: LoggedRequest) -> str:
    return request.request_time.astimezone(datetime.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _prediction(request: LoggedRequest) -> str | None:
    if not request.response_body:
        return None
    answer = {
        tensor.name: REDACTED if tensor.name in request.redacted else _values(tensor)
        for tensor in from_canonical(request.response_body)
    }
    return json.dumps(answer)


def _input_features(request: LoggedRequest) -> dict[str, str]:
    features: dict[str, str] = {}
    for name, datatype, shape in request.inputs:
        features |= {f"{name}.datatype": datatype, f"{name}.shape": ",".join(map(str, shape))}
    return features | dict(zip(*_features(request, {}), strict=False))


def _features(request: LoggedRequest, columns: Mapping[str, Sequence[str]]) -> tuple[list[str], list[str]]:
    """The features' names, and their values if those were recorded."""
    if not request.request_body:
        return [feature for name, _, _ in request.inputs for feature in columns.get(name, [name])], []
    names, values = [], []
    for tensor in from_canonical(request.request_body):
        of_tensor = columns.get(tensor.name)
        if not of_tensor or not tensor.array.shape or tensor.array.shape[-1] != len(of_tensor):
            names.append(tensor.name)
            hidden = any(each == tensor.name or each.startswith(f"{tensor.name}.") for each in request.redacted)
            values.append(REDACTED if hidden else json.dumps(_values(tensor)))
            continue
        for number, column in enumerate(of_tensor):
            hidden = bool({tensor.name, f"{tensor.name}.{column}", f"{tensor.name}.{number}"} & set(request.redacted))
            part = Tensor(tensor.name, tensor.datatype, tensor.array[..., number])
            names.append(column)
            values.append(REDACTED if hidden else json.dumps(_values(part)))
    return names, values


def _values(tensor: Tensor) -> Any:
    """The elements in lists within lists; a single one, in whatever shape, by itself."""
    array = tensor.array
    if tensor.datatype == "BF16":
        array = (array.astype("<u4") << 16).view("<f4")
    elements = array.tolist() if array.size != 1 else array.reshape(()).tolist()
    return _texts(elements) if tensor.datatype == "BYTES" else elements


def _texts(elements: Any) -> Any:
    if isinstance(elements, list):
        return [_texts(each) for each in elements]
    return elements.decode(errors="replace") if isinstance(elements, bytes) else elements
