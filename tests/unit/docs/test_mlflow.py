"""docs/reference/mlflow.md names calls, messages and fields that there are, and every endpoint that clients use."""

import re
from pathlib import Path

import pytest

from headwater.artifact.v1 import artifact_pb2
from headwater.registry.v1 import (
    artifacts_pb2,
    experiments_pb2,
    logged_models_pb2,
    models_pb2,
    runs_pb2,
)

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "mlflow.md").read_text()
FILES = (artifact_pb2, artifacts_pb2, experiments_pb2, logged_models_pb2, models_pb2, runs_pb2)

# The endpoints of MLflow 3's client: mlflow/protos/service.proto and model_registry.proto, without traces and prompts.
ENDPOINTS = [
    *(f"experiments/{each}" for each in ("create", "get", "get-by-name", "search", "update", "delete", "restore")),
    "experiments/search-datasets",
    *(f"experiments/{each}" for each in ("set-experiment-tag", "delete-experiment-tag")),
    *(f"runs/{each}" for each in ("create", "get", "update", "delete", "restore", "search", "log-metric", "log-batch")),
    *(f"runs/{each}" for each in ("log-parameter", "set-tag", "delete-tag", "log-inputs", "outputs", "log-model")),
    *("metrics/get-history", "metrics/get-history-bulk", "metrics/get-history-bulk-interval", "artifacts/list"),
    *("logged-models/create", "logged-models/search", "logged-models/{id}", "logged-models/{id}/tags"),
    *("logged-models/{id}/params", "logged-models/{id}/artifacts/directories"),
    *(f"registered-models/{each}" for each in ("create", "get", "search", "rename", "update", "delete", "alias")),
    *(f"registered-models/{each}" for each in ("get-latest-versions", "set-tag", "delete-tag")),
    *(f"model-versions/{each}" for each in ("create", "get", "search", "update", "delete", "transition-stage")),
    *(f"model-versions/{each}" for each in ("get-download-uri", "set-tag", "delete-tag")),
]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_every_endpoint_is_answered(endpoint: str) -> None:
    """R-28: by the domain, so that a translator keeps nothing."""
    assert f"`{endpoint}`" in PAGE


def test_the_page_names_what_there_is() -> None:
    services = {
        name: {method.name for method in service.methods}
        for file in FILES
        for name, service in file.DESCRIPTOR.services_by_name.items()
    }
    messages = {
        name: set(message.fields_by_name)
        for file in FILES
        for name, message in file.DESCRIPTOR.message_types_by_name.items()
    }
    named = re.findall(r"`([A-Z]\w+)\.(\w+)`", PAGE)
    assert len(named) > 50
    unknown = [f"{owner}.{part}" for owner, part in named if part not in services.get(owner, messages.get(owner, ()))]
    assert unknown == []


def test_the_states_that_the_page_names_are_there() -> None:
    values = {
        value.name
        for message in (artifact_pb2.Run, artifact_pb2.ModelMetadata)
        for enum in message.DESCRIPTOR.enum_types
        for value in enum.values
    }
    assert set(re.findall(r"`(STA[TG]E_\w+)`", PAGE)) <= values
