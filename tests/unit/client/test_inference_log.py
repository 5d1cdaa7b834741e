"""Records in MLSpec's shapes, field by field (M-83…M-87)."""

import dataclasses
import datetime
import json
from typing import Any

import numpy as np
import pytest

from headwater.inference.v1 import deployments_pb2
from headwater.inference_log import (
    LoggedRequest,
    log_of,
    logged,
    monitored_prediction,
    monitored_request,
    request_of,
)
from headwater.tensors import Tensor, byte_strings, canonical

TIME = datetime.datetime(2026, 11, 21, 18, 30, 0, 123456, datetime.UTC)
ASKED = canonical(
    [
        Tensor("table", "FP32", np.array([[5.5, 0.0]], np.float32)),
        Tensor("name", "BYTES", byte_strings(["zwölf".encode()])),
    ]
)
ANSWERED = canonical([Tensor("label", "INT64", np.array([[7]])), Tensor("p", "FP64", np.array([[0.25, 0.75]]))])
REQUEST = LoggedRequest(
    project="default",
    request_id="01972c9e-0000-7000-8000-000000000001",
    deployment="digits",
    model_version="projects/default/models/digits/versions/3",
    model_digest="sha256:aa",
    request_digest="sha256:bb",
    response_digest="sha256:cc",
    caller="shop",
    request_time=TIME,
    latency_ms=1.5,
    result="OK",
    response_bytes=16,
    inputs=[("table", "FP32", [1, 2]), ("name", "BYTES", [1])],
    redacted=["table.1"],
    request_body=ASKED,
    response_body=ANSWERED,
    ground_truth=7,
    score=0.5,
    actions=["opened"],
    explanation={"age": 0.25},
)
COLUMNS = {"table": ["age", "income"]}


def without_values(request: LoggedRequest = REQUEST) -> LoggedRequest:
    return dataclasses.replace(request, request_body=b"", response_body=b"")


def test_inference_log_yml() -> None:
    """M-83: one request with all the models that were asked for it."""
    failed = dataclasses.replace(
        REQUEST,
        request_id="01972c9e-0000-7000-8000-000000000002",
        part_of=REQUEST.request_id,
        is_final=False,
        result="ENGINE_FAILED",
        model_version="projects/default/models/digits/versions/4",
    )
    assert log_of([failed, REQUEST]) == {
        "applicationInfo": {"applicationId": "shop", "applicationEndpoint": "/v2/models/digits/infer"},
        "requestInfo": {
            "requestId": REQUEST.request_id,
            "requestTimestamp": "2026-11-21T18:30:00.123456Z",
            "requestLatency": 1.5,
        },
        "modelInfo": {"models": ["digits/4", "digits/3"]},
    }
    with pytest.raises(ValueError, match="final"):
        log_of([failed])
    with pytest.raises(ValueError, match="one request"):
        log_of([REQUEST, dataclasses.replace(REQUEST, request_id="another")])


def test_inference_request_yml() -> None:
    """M-84, with names of columns as features; what was left out is said to be."""
    shaped = request_of(REQUEST, COLUMNS)
    assert shaped["requestInfo"]["requestLatencyMs"] == 1.5
    assert shaped["resultInfo"] == {"resultCode": "OK", "resultSizeInBytes": 16}
    assert shaped["inputs"] == {
        "featureNames": ["name", "age", "income"],
        "featureValues": ['"zw\\u00f6lf"', "5.5", "[redacted]"],
    }
    assert shaped["prediction"]["predictionMimeType"] == "application/json"
    assert json.loads(shaped["prediction"]["predictionData"]) == {"label": 7, "p": [[0.25, 0.75]]}
    assert set(shaped) == {"applicationInfo", "requestInfo", "resultInfo", "inputs", "prediction"}


def test_without_names_of_columns_a_tensor_is_one_feature_and_hidden_as_a_whole() -> None:
    shaped = request_of(REQUEST)
    assert shaped["inputs"] == {"featureNames": ["name", "table"], "featureValues": ['"zw\\u00f6lf"', "[redacted]"]}


def test_what_was_not_recorded_is_empty_and_not_made_up() -> None:
    shaped = request_of(without_values(), COLUMNS)
    assert shaped["inputs"] == {"featureNames": ["age", "income", "name"], "featureValues": []}
    assert shaped["prediction"] == {"predictionMimeType": "", "predictionData": None}


def test_the_requests_of_monitoring() -> None:
    """M-85."""
    assert monitored_request(without_values()) == {
        "applicationId": "shop",
        "requestId": REQUEST.request_id,
        "requestTimestamp": "2026-11-21T18:30:00.123456Z",
        "inputType": "tensor",
        "inputFeatures": {
            "table.datatype": "FP32",
            "table.shape": "1,2",
            "name.datatype": "BYTES",
            "name.shape": "1",
        },
        "groundTruthLabel": 7,
    }
    features = monitored_request(REQUEST)["inputFeatures"]
    assert (features["name"], features["table"]) == ('"zw\\u00f6lf"', "[redacted]")
    assert all(isinstance(value, str) for value in features.values())


def test_the_predictions_of_monitoring() -> None:
    """M-86, M-87: one for each model that was asked, of which one is final."""
    shadow = dataclasses.replace(REQUEST, request_id="other", part_of=REQUEST.request_id, is_final=False)
    final, other = monitored_prediction(REQUEST), monitored_prediction(shadow)

    assert final.pop("inputFeatures") == monitored_request(REQUEST)["inputFeatures"]
    assert json.loads(final.pop("prediction"))["label"] == 7
    assert final == {
        "applicationId": "shop",
        "requestId": REQUEST.request_id,
        "modelId": "digits/3",
        "inferenceServiceId": "projects/default/deployments/digits",
        "requestTimestamp": "2026-11-21T18:30:00.123456Z",
        "inferenceLatency": 1.5,
        "predictionExplanation": {"age": 0.25},
        "predictionFeedback": 0.5,
        "feedbackActions": ["opened"],
        "isFinal": True,
    }
    assert (other["requestId"], other["isFinal"]) == (REQUEST.request_id, False)


@pytest.mark.parametrize(
    ("datatype", "values", "shown"),
    [
        ("BF16", np.array([0x3F80, 0xC040], np.uint16), "[1.0, -3.0]"),
        ("BOOL", np.array([True, False]), "[true, false]"),
        ("UINT64", np.array([2**64 - 1], np.uint64), "18446744073709551615"),
        ("FP64", np.zeros((1, 0)), "[[]]"),
        ("BYTES", byte_strings([b"\xff", b"a"]), '["\\ufffd", "a"]'),
    ],
)
def test_values_of_every_kind(datatype: str, values: Any, shown: str) -> None:
    body = canonical([Tensor("x", datatype, values)])
    request = dataclasses.replace(REQUEST, request_body=body, redacted=[], inputs=[("x", datatype, values.shape)])
    assert request_of(request)["inputs"]["featureValues"] == [shown]


def test_a_record_of_the_api_has_all_of_it() -> None:
    record = deployments_pb2.InferenceRecord(
        name=f"projects/default/inferenceRecords/{REQUEST.request_id}",
        deployment="projects/default/deployments/digits",
        model_version=REQUEST.model_version,
        model_digest="sha256:aa",
        request_digest="sha256:bb",
        response_digest="sha256:cc",
        caller="shop",
        latency_ms=1.5,
        result_code="OK",
        response_size_bytes=16,
        inputs=[
            deployments_pb2.TensorFacts(name=name, datatype=datatype, shape=shape)
            for name, datatype, shape in REQUEST.inputs
        ],
        is_final=True,
        redacted=["table.1"],
        request_body=ASKED,
        response_body=ANSWERED,
        feedback_score=0.5,
        feedback_actions=["opened"],
        explanation={"age": 0.25},
    )
    record.request_time.FromDatetime(TIME)
    record.ground_truth.number_value = 7
    assert logged(record) == REQUEST
