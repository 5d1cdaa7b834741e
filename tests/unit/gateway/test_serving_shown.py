"""What pages say of deployments and requests: pure functions of what the services answer."""

import json
import shlex

import numpy as np
import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.artifact.v1 import artifact_pb2
from headwater.inference.v1 import deployments_pb2, incidents_pb2, recording_pb2, rollouts_pb2
from headwater.inference.v1.drift_pb2 import DriftBin, FeatureDrift
from headwater.tensors import Array, Tensor, byte_strings, canonical
from services.gateway.serving.bodies import COLUMNS, ROWS, tables
from services.gateway.serving.calls import Addresses, calls, inputs_of
from services.gateway.serving.drift import features_of
from services.gateway.serving.options import topics
from services.gateway.serving.rollouts import steps_of
from services.gateway.serving.standings import of_deployment, of_incident, of_rollout
from services.gateway.serving.versions import targets_of
from services.gateway.serving.wording import lasting, shares

WHERE = Addresses("127.0.0.1:50055", "127.0.0.1:50065")
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)


def deployment(**fields: object) -> deployments_pb2.Deployment:
    """One with these fields, written as in JSON."""
    message = deployments_pb2.Deployment()
    json_format.ParseDict(fields, message)
    return message


def said(**fields: object) -> str:
    """All that is said of its options."""
    return " ".join(sentence for topic in topics(deployment(**fields)) for sentence in topic.sentences)


def spec(name: str = "x", datatype: str = "FP32", *shape: int) -> artifact_pb2.TensorSpec:
    return artifact_pb2.TensorSpec(name=name, datatype=datatype, shape=shape or (-1, 2))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 ms"), (0.005, "5 ms"), (1, "1 s"), (90, "90 s"), (300, "5 min"), (3600, "1 h"), (86_400, "1 day"),
     (172_800, "2 days"), (2.5, "2.5 s")],
)  # fmt: skip
def test_times_are_said_in_the_unit_in_which_they_are_whole(seconds: float, text: str) -> None:
    assert lasting(seconds) == text


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "It is computed on cpu."),
        ({"batching": {"max_batch_size": 1}}, "Requests are computed one by one."),
        ({"batching": {"preferred_batch_sizes": [4, 8, 16]}}, "Batches of 4, 8 or 16 rows are preferred."),
        ({"batching": {"queue_timeout": "2s"}}, "A request that has waited for 2 s is refused."),
        (
            {"batching": {"padding": [{"inputs": [{"name": "ids", "dimension": 1}], "sizes": [16, 32]}]}},
            "Inputs of different lengths share a batch: ids (dimension 1) is filled up to 16 or 32.",
        ),
        ({"engine": {"device": "cuda:1", "autocast": "AUTOCAST_BF16"}}, "may lose precision are computed in BF16."),
        ({"engine": {"callable": "mine"}}, "The Python function mine computes it, on cpu."),
        (
            {"engine": {"triton": {"address": "t:8001", "model_name": "m", "model_version": "3", "tls": True}}},
            "t:8001 computes it, as m version 3, over TLS.",
        ),
        ({"preparing": {"input": "INPUT_RAW"}}, "Only image files, which the version's own pipeline prepares."),
        ({}, "No answer is kept."),
        (
            {"recording": {"sample_rate": 0.1, "on_error": True}},
            "of 10 % of the requests and every request that",
        ),
        ({"recording": {"on_error": True, "inputs": [{"name": "x", "redacted": True}]}}, "Never recorded: x."),
        ({"guard": {"breaker": {"disabled": True}}}, "It is switched off"),
        ({"guard": {"breaker": {"max_p99_ms": 50}}}, "takes the engine over 50 ms"),
        ({"guard": {"breaker": {"open_ms": 60_000, "probes": 1}}}, "After 1 min, one request tries whether"),
        ({}, "It is not watched."),
        ({"drift": {"enabled": True, "window_ms": 60_000, "split": "train"}}, "Windows of 1 min and at least 500 rows"),
        ({"guard": {"rollback": {"disabled": True}}}, "It never goes back to an earlier version by itself."),
    ],
)
def test_options_are_sentences(fields: dict[str, object], sentence: str) -> None:
    assert sentence in said(**fields)


def test_what_a_later_release_says_is_unknown_and_shown_all_the_same() -> None:
    later = deployments_pb2.Deployment(state=99)  # type: ignore[arg-type]
    assert of_deployment(later).word == "unknown"
    assert of_rollout(rollouts_pb2.Rollout()).word == "unknown"

    assert of_incident(incidents_pb2.Incident()).word == "unknown"


def test_the_main_version_has_what_the_variants_leave() -> None:
    routing = {
        "variants": [
            {"name": "next", "version": "2", "weight_percent": 12.5},
            {"name": "wrong", "alias": "odd", "role": "ROLE_SHADOW", "weight_percent": 50},
        ]
    }
    found = shares(deployment(stage="STAGE_PRODUCTION", routing=routing))
    assert [(each.name, each.chosen, each.said) for each in found] == [
        ("main", "stage production", "87.5 %"),
        ("next", "version 2", "12.5 %"),
        ("wrong", "alias odd", "copies of 50 %"),
    ]


@given(st.lists(NAMES, min_size=1, max_size=3, unique=True))
@settings(max_examples=60)
def test_no_name_of_an_input_leaves_its_place_in_a_program(names: list[str]) -> None:
    """Promise 13: model files name their inputs as they like."""
    found = calls("digits", WHERE, [spec(name) for name in names])
    compile(found.python, "program", "exec")
    words = shlex.split(found.curl.replace("\\\n", ""))
    assert words[:2] == ["curl", "http://127.0.0.1:50065/v2/models/digits/infer"]
    assert [each["name"] for each in json.loads(words[-1])["inputs"]] == names
    assert len(words) == 6


@pytest.mark.parametrize(
    ("specs", "missing"),
    [
        ([], "Nothing says what goes in."),
        ([spec("x", "FP32", -1, 3, 224, 224)], "too large to be written on a command line"),
        ([spec("x", "BF16")], "BF16 does not go into JSON"),
        ([spec("raw", "BYTES", -1)], "Bytes of images do not go into JSON"),
        ([spec("x", "COMPLEX64")], "One of its inputs is COMPLEX64"),
    ],
)
def test_a_program_that_cannot_be_given_is_accounted_for(specs: list[artifact_pb2.TensorSpec], missing: str) -> None:
    found = calls("digits", WHERE, specs)
    assert missing in found.missing
    assert not found.curl
    assert found.about.startswith("curl http://127.0.0.1:50065/v2/models/digits ")


def test_what_goes_in_is_what_the_deployment_takes() -> None:
    """N-04."""
    version = artifact_pb2.ModelMetadata(inputs=[spec("x")])
    assert [each.name for each in inputs_of(deployment(), version)] == ["x"]
    own = deployment(engine={"inputs": [{"name": "ids", "datatype": "INT64", "shape": ["-1", "8"]}]})
    assert [each.name for each in inputs_of(own, version)] == ["ids"]
    version.preprocessing.digest = "sha256:1"
    assert [each.name for each in inputs_of(deployment(), version)] == ["raw"]
    assert [each.name for each in inputs_of(deployment(preparing={"input": "INPUT_TENSORS"}), version)] == ["x"]
    assert "image.png" in calls("digits", WHERE, inputs_of(deployment(), version)).python


def body(array: Array, datatype: str = "FP32") -> bytes:
    return canonical([Tensor("x", datatype, array)])


def rules(*columns: str) -> list[recording_pb2.RecordedTensor]:
    return [recording_pb2.RecordedTensor(name="x", columns=columns)]


def test_what_was_left_out_is_never_shown_as_zeros() -> None:
    content = body(np.array([[1, 0, 3]], np.float32))
    (by_name,) = tables(content, ["x.income"], rules("age", "income", "rooms"))
    assert [cell.text for cell in by_name.rows[0]] == ["1", "left out", "3"]
    (by_number,) = tables(content, ["x.1"], [])
    assert [cell.left_out for cell in by_number.rows[0]] == [False, True, False]
    (whole,) = tables(content, ["x"], [])
    assert whole.left_out
    assert not whole.rows


@pytest.mark.parametrize("columns", [(), ("age", "rooms"), ("age", "salary", "rooms")])
def test_where_a_column_is_not_known_any_more_nothing_of_the_tensor_is_shown(columns: tuple[str, ...]) -> None:
    (table,) = tables(body(np.array([[1, 0, 3]], np.float32)), ["x.income"], rules(*columns))
    assert "have no such names any more" in table.left_out
    assert not table.rows


def test_large_tensors_are_shown_in_part() -> None:
    (table,) = tables(body(np.zeros((3, 50, 40), np.float32)), [], [])
    assert (len(table.rows), len(table.rows[0]), len(table.columns), table.more) == (ROWS, COLUMNS, COLUMNS, True)
    assert list(table.shape) == [3, 50, 40]


@pytest.mark.parametrize(
    ("array", "datatype", "texts"),
    [
        (np.array([[True, False]]), "BOOL", ["true", "false"]),
        (np.array([1234567], np.int64), "INT64", ["1234567"]),
        (np.array([0x3F80], np.uint16), "BF16", ["1"]),
        (np.array([np.nan, np.inf], np.float32), "FP32", ["–", "∞"]),
        (byte_strings([b"\xff<b>", b"x" * 200]), "BYTES", ["\ufffd<b>", "x" * 120 + "…"]),
        (np.array(7, np.int8), "INT8", ["7"]),
        (np.zeros((0, 3), np.float32), "FP32", []),
        (np.zeros((3, 0), np.float32), "FP32", []),
    ],
)
def test_elements_of_every_kind_are_written(array: Array, datatype: str, texts: list[str]) -> None:
    (table,) = tables(body(array, datatype), [], [])
    assert [cell.text for row in table.rows for cell in row] == texts


@given(st.binary(max_size=60))
@settings(max_examples=50)
def test_a_body_that_cannot_be_read_is_none(content: bytes) -> None:
    assert tables(content, [], []) == []


def test_the_evidence_of_a_rollout_stands_beside_the_step_in_which_it_was_measured() -> None:
    rollout = rollouts_pb2.Rollout()
    json_format.ParseDict(
        {
            "state": "STATE_ROLLED_BACK",
            "step": 1,
            "plan": {
                "version": "2",
                "steps": [{"weight_percent": share, "min_requests": 10} for share in (0, 20, 50)],
            },
            "events": [
                {"kind": "KIND_STARTED", "step": 0},
                {"kind": "KIND_ADVANCED", "step": 1, "evidence": {"compared_count": 10, "agreed_count": 9}},
                {"kind": "KIND_PAUSED", "step": 1},
                {
                    "kind": "KIND_ROLLED_BACK",
                    "step": 1,
                    "evidence": {"request_count": 12, "error_count": 3, "errors": {"ENGINE_FAILED": 3}, "p99_ms": 20},
                },
            ],
        },
        rollout,
    )
    first, second, third = steps_of(rollout)
    assert (first.share, first.standing.word) == ("copies only", "passed")
    assert "9 of 10 answers agreed" in first.evidence
    assert second.standing.word == "failed"
    assert second.evidence == "12 requests, 3 failed (3 ENGINE_FAILED); p99 20 ms"
    assert (third.standing.word, third.evidence) == ("not reached", "")


def test_what_has_drifted_farthest_comes_first() -> None:
    found = [
        FeatureDrift(
            feature="x.age", side="input", psi=0.01, psi_critical=0.05, level=FeatureDrift.LEVEL_STEADY, ks=0.02
        ),
        FeatureDrift(feature="y.class", psi=0.7, level=FeatureDrift.LEVEL_ALERT, row_count=500, missing_count=2),
        FeatureDrift(
            feature="x.rooms", psi=0.12, level=FeatureDrift.LEVEL_WARNING, bins=[DriftBin(label="1", expected=0.5)]
        ),
    ]
    shown = features_of(found)
    assert [(each.name, each.level.word) for each in shown] == [
        ("y.class", "alert"),
        ("x.rooms", "warning"),
        ("x.age", "steady"),
    ]
    assert (shown[0].values, shown[0].ks) == ("500, 2 missing", "")
    assert shown[1].bins == [("1", "50 %", "0 %")]
    assert shown[2].psi == "0.01 (chance 0.05)"


@pytest.mark.parametrize(
    ("breaker", "lasts", "fields", "word"),
    [
        ("BREAKER_CLOSED", False, {}, "closed"),
        ("BREAKER_OPEN", True, {}, "open"),
        ("BREAKER_HALF_OPEN", True, {}, "half-open"),
        ("BREAKER_CLOSED", True, {}, "closed here"),
        ("BREAKER_CLOSED", False, {"guard": {"breaker": {"disabled": True}}}, "switched off"),
        ("BREAKER_UNSPECIFIED", False, {}, ""),
    ],
)
def test_a_breaker_is_told_from_that_of_another_replica(
    breaker: str, lasts: bool, fields: dict[str, object], word: str
) -> None:
    version = "projects/default/models/m/versions/1"
    target = rollouts_pb2.TrafficTarget(
        name="main", model_version=version, breaker=rollouts_pb2.TrafficTarget.Breaker.Value(breaker)
    )
    opened = incidents_pb2.Incident(
        name="projects/default/incidents/1",
        kind=incidents_pb2.Incident.KIND_BREAKER_OPENED,
        versions=[incidents_pb2.IncidentVersion(part="failing", model_version=version)],
    )
    traffic = rollouts_pb2.Traffic(targets=[target])
    (found,) = targets_of(deployment(version="1", **fields), traffic, [opened] if lasts else [], None)
    assert found.breaker.word == word
    assert bool(found.incident) == lasts
