"""What must not be recorded is left out before anything is written; what cannot be left out for certain, all of it."""

import datetime
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.ids import new_id
from headwater.tensors import byte_strings, canonical, digest, from_canonical
from services.inference.records.model import Answered, Record, Served
from services.inference.records.recording import (
    InvalidRecording,
    LowConfidence,
    RecordedTensor,
    Recording,
    check,
)
from services.inference.records.redaction import redact
from services.inference.records.sampling import is_sampled, is_unsure
from services.inference.tensors.model import Tensor

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
SECRET = 123456.75
TABLE = Tensor("table", "FP32", np.array([[1, SECRET, 3], [4, SECRET, 6]], np.float32))
NAMES = Tensor("names", "BYTES", byte_strings([b"ada", b"eve"]))
ANSWER = Tensor("y", "FP32", np.array([[0.9, 0.1], [0.4, 0.6]], np.float32))


def recorded(
    recording: Recording, inputs: Sequence[Tensor] = (TABLE, NAMES), outputs: Sequence[Tensor] = (ANSWER,), **facts: Any
) -> Record:
    served = Served("p", "digits", "projects/p/models/digits/versions/3", "sha256:0", recording=recording)
    return Answered(new_id(), served, "ada", "", NOW, 0.001, 2, 2, inputs, outputs, **facts).to_record()


def all_of(*inputs: RecordedTensor, **options: Any) -> Recording:
    return check(Recording(sample_rate=1.0, inputs=inputs, **options))


def test_nothing_is_recorded_by_default() -> None:
    record = recorded(Recording())
    assert (record.request_body, record.response_body, record.body_reason) == (None, None, "")
    assert record.inputs == '[["table","FP32",[2,3]],["names","BYTES",[2]]]'
    assert (record.request_bytes, record.response_bytes) == (24 + 2 * 8 + 6, 16)


def test_a_body_without_redaction_has_the_digest_of_the_request() -> None:
    record = recorded(all_of())
    for body, of in ((record.request_body, record.request_digest), (record.response_body, record.response_digest)):
        assert body is not None
        assert digest(from_canonical(body)) == of
    assert record.body_reason == "sample"


@pytest.mark.parametrize(
    ("rule", "left_out"),
    [
        (RecordedTensor("table", redacted_columns=("1",)), ["table.1"]),
        (RecordedTensor("table", columns=("age", "income", "rooms"), redacted_columns=("income",)), ["table.income"]),
        (RecordedTensor("table", redacted=True), ["table"]),
    ],
)
def test_a_column_is_left_out_and_the_digest_is_of_what_came(rule: RecordedTensor, left_out: list[str]) -> None:
    record = recorded(all_of(rule))

    assert record.request_body is not None
    assert np.float32(SECRET).tobytes() not in record.request_body
    assert json.loads(record.redacted) == left_out
    assert record.request_digest == digest([TABLE, NAMES])
    names, table = from_canonical(record.request_body)
    assert names.array.tolist() == [b"ada", b"eve"]
    assert table.array[:, 1].tolist() == [0, 0]
    assert TABLE.array[0, 1] == np.float32(SECRET), "what was answered is not touched"


def test_byte_strings_are_left_out_with_their_length() -> None:
    record = recorded(all_of(RecordedTensor("names", redacted=True)))
    assert record.request_body is not None
    assert from_canonical(record.request_body)[0].array.tolist() == [b"", b""]


@pytest.mark.parametrize(
    "rule",
    [
        RecordedTensor("TABLE", redacted=True),
        RecordedTensor("table", redacted_columns=("3",)),
        RecordedTensor("table", columns=("a", "b"), redacted_columns=("b",)),
        RecordedTensor("names", columns=("a",), redacted_columns=("a",)),
    ],
)
def test_what_cannot_be_left_out_for_certain_is_not_recorded_at_all(rule: RecordedTensor) -> None:
    record = recorded(all_of(rule))
    assert record.request_body is None
    assert record.response_body is not None


def test_an_answer_that_repeats_a_secret_is_left_out_too() -> None:
    rule = RecordedTensor("y", redacted_columns=("0",))
    record = recorded(all_of(outputs=(rule,)))
    assert record.response_body is not None
    assert from_canonical(record.response_body)[0].array[:, 0].tolist() == [0, 0]
    assert json.loads(record.redacted) == ["y.0"]


def test_large_tensors_are_not_recorded() -> None:
    record = recorded(all_of(max_body_bytes=20))
    assert record.request_body is None
    assert record.response_body is not None
    assert recorded(all_of(max_body_bytes=1)).body_reason == ""


def test_failures_are_recorded_with_what_was_asked() -> None:
    record = recorded(Recording(on_error=True), outputs=(), result="ENGINE_FAILED")
    assert (record.body_reason, record.response_digest, record.response_body) == ("error", "", None)
    assert record.request_body == canonical([TABLE, NAMES])
    assert recorded(Recording(on_error=True)).body_reason == ""


def test_answers_that_the_model_is_not_sure_of_are_recorded() -> None:
    assert recorded(Recording(low_confidence=LowConfidence("y", 0.7))).body_reason == "low_confidence"
    assert recorded(Recording(low_confidence=LowConfidence("y", 0.6))).body_reason == ""
    assert recorded(Recording(low_confidence=LowConfidence("z", 0.7))).body_reason == ""


@pytest.mark.parametrize(
    ("logits", "unsure"),
    [([[0.0, 0.0]], True), ([[9.0, 0.0]], False), ([[9.0, 0.0], [1.0, 1.0]], True), ([[np.inf, 1.0]], True)],
)
def test_logits_become_probabilities(logits: Any, unsure: bool) -> None:
    output = Tensor("y", "FP32", np.array(logits, np.float32))
    assert is_unsure(LowConfidence("y", 0.9, logits=True), [output]) is unsure


def test_a_share_of_requests_is_sampled_and_always_the_same_ones() -> None:
    ids = [new_id() for _ in range(4000)]
    sampled = [each for each in ids if is_sampled(0.25, each)]
    assert 850 < len(sampled) < 1150
    assert sampled == [each for each in ids if is_sampled(0.25, each)]
    assert not any(is_sampled(0.0, each) for each in ids)
    assert all(is_sampled(1.0, each) for each in ids)


@pytest.mark.parametrize(
    "tensors",
    [
        (RecordedTensor("x"), RecordedTensor("x")),
        (RecordedTensor("x", redacted_columns=("age",)),),
        (RecordedTensor("x", redacted_columns=("-1",)),),
        (RecordedTensor("x", columns=("a",), redacted_columns=("1",)),),
    ],
)
def test_rules_that_make_no_sense_are_refused(tensors: tuple[RecordedTensor, ...]) -> None:
    with pytest.raises(InvalidRecording):
        check(Recording(inputs=tensors))
    with pytest.raises(InvalidRecording):
        check(Recording(outputs=tensors))


@settings(max_examples=50, deadline=None)
@given(rows=st.integers(0, 3), columns=st.integers(1, 5), hidden=st.sets(st.integers(0, 6), min_size=1, max_size=3))
def test_no_secret_is_ever_in_what_is_left(rows: int, columns: int, hidden: set[int]) -> None:
    array = np.arange(rows * columns, dtype=np.int64).reshape(rows, columns) + 1
    rule = RecordedTensor("x", redacted_columns=tuple(map(str, sorted(hidden))))
    redacted = redact([Tensor("x", "INT64", array)], [rule])

    if max(hidden) >= columns:
        assert redacted is None
        return
    assert redacted is not None
    left = redacted.tensors[0].array
    assert not left[:, sorted(hidden)].any()
    others = [column for column in range(columns) if column not in hidden]
    assert (left[:, others] == array[:, others]).all()


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_bytes_that_are_no_tensors_are_refused(content: bytes) -> None:
    whole = canonical([TABLE, NAMES])
    for broken in (content, whole + content + b"x", whole[: len(content)]):
        with pytest.raises(ValueError, match="tensor"):
            from_canonical(broken)


@pytest.mark.parametrize(
    "came",
    [
        [TABLE, NAMES, Tensor("table ", "FP32", TABLE.array)],
        [Tensor("table", "FP32", TABLE.array.reshape(1, 6)), NAMES],
        [Tensor("table", "FP32", TABLE.array.T.copy()), NAMES],
    ],
    ids=["under another name as well", "flat", "turned"],
)
def test_inputs_that_are_not_the_models_are_not_recorded_where_something_is_to_be_left_out(came: list[Tensor]) -> None:
    """Nobody knows what lies where in them: the client has mixed something up."""
    rules = all_of(RecordedTensor("table", redacted_columns=("1",)), on_error=True)
    record = recorded(rules, came, (), result="SIGNATURE_MISMATCH")
    assert (record.request_body, record.response_body, record.redacted) == (None, None, "[]")
    assert recorded(all_of(on_error=True), came, (), result="SIGNATURE_MISMATCH").request_body is not None
    failed = recorded(rules, result="ENGINE_FAILED", outputs=())
    assert failed.request_body is not None, "what fits is recorded"
    assert np.float32(SECRET).tobytes() not in failed.request_body
