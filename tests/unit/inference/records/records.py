"""Records for tests."""

import datetime
from typing import Any

from chassis.ids import new_id
from services.inference.records.model import Record

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def record(**facts: Any) -> Record:
    """A record whose facts are all something else than their defaults, but for those that are given."""
    values: dict[str, Any] = {
        "request_id": new_id(),
        "project": "p",
        "deployment": "digits",
        "model_version": "projects/p/models/digits/versions/3",
        "model_digest": "sha256:" + "a" * 64,
        "request_digest": "sha256:" + "b" * 64,
        "response_digest": "sha256:" + "c" * 64,
        "caller": "ada",
        "request_time": NOW,
        "latency_ms": 1.5,
        "batch_rows": 4,
        "rows": 2,
        "client_request_id": "mine",
        "request_bytes": 32,
        "response_bytes": 8,
        "inputs": '[["x","FP32",[2,4]]]',
        "outputs": '[["y","FP32",[2]]]',
        "preprocessing_digest": "sha256:" + "d" * 64,
        "variant": "canary",
    }
    return Record(**{**values, **facts})
