"""ModelInfer's messages that are cut instead of copied say what protobuf's say."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from chassis.rpc.codec import Pieces
from chassis.rpc.validation import InvalidFields, MalformedMessage
from services.inference.errors import InvalidRequest
from services.inference.kserve.wire import Asked, Told, asked_from_wire, told_to_wire

LARGE = 20_000

contents = st.lists(st.sampled_from([0, 1, 127, 128, LARGE, 70_000]), max_size=4).map(
    lambda sizes: [bytes([number + 1]) * size for number, size in enumerate(sizes)]
)


def request(raw: list[bytes], **more: Any) -> Any:
    message = service_pb2.ModelInferRequest(model_name="m", raw_input_contents=raw, **more)
    for number, content in enumerate(raw):
        message.inputs.add(name=f"x{number}", datatype="UINT8", shape=[len(content)])
    return message


def together(parts: bytes | Pieces) -> bytes:
    return parts if isinstance(parts, bytes) else b"".join(parts.parts)


@given(contents, st.booleans())
def test_a_request_that_is_cut_is_the_one_that_was_sent(raw: list[bytes], in_pieces: bool) -> None:
    sent = request(raw, id="7").SerializeToString()
    asked = asked_from_wire(memoryview(sent) if in_pieces else sent)
    assert [bytes(each) for each in asked.raw] == raw
    asked.message.ClearField("raw_input_contents")
    expected = request(raw, id="7")
    expected.ClearField("raw_input_contents")
    assert asked.message == expected


@given(contents)
def test_an_answer_in_pieces_reads_like_one_that_protobuf_wrote(raw: list[bytes]) -> None:
    head = service_pb2.ModelInferResponse(model_name="m", id="7")
    parts = told_to_wire(Told(head, [memoryview(each) for each in raw]))
    assert len(parts) == len(together(parts))
    read = service_pb2.ModelInferResponse.FromString(together(parts))
    assert (read.model_name, read.id, list(read.raw_output_contents)) == ("m", "7", raw)


def test_large_tensors_are_not_copied_in_either_direction() -> None:
    sent = memoryview(request([b"\1" * LARGE]).SerializeToString())
    (tensor,) = asked_from_wire(sent).raw
    assert isinstance(tensor, memoryview)
    assert np.shares_memory(np.frombuffer(tensor, np.uint8), np.frombuffer(sent, np.uint8))
    assert tensor.readonly
    array = np.zeros(LARGE, np.uint8)
    parts = told_to_wire(Told(service_pb2.ModelInferResponse(), [array.data]))
    assert isinstance(parts, Pieces)
    assert any(np.shares_memory(np.frombuffer(part, np.uint8), array) for part in parts.parts)


@pytest.mark.parametrize("cut_at", [1, 4, 20, LARGE, -1])
def test_a_message_that_ends_early_is_refused_as_protobuf_refuses_it(cut_at: int) -> None:
    sent = request([b"\1" * LARGE]).SerializeToString() + request([b"\2" * LARGE]).SerializeToString()
    with pytest.raises(MalformedMessage):
        asked_from_wire(sent[:cut_at])


@given(st.binary(min_size=1, max_size=7), st.integers(0, 80))
def test_bytes_that_are_no_message_are_refused_or_read_as_protobuf_reads_them(noise: bytes, at: int) -> None:
    sent = request([b"\1" * LARGE]).SerializeToString()
    changed = sent[:at] + noise + sent[at + len(noise) :]
    try:
        expected = service_pb2.ModelInferRequest.FromString(changed)
    except Exception:
        expected = None
    try:
        asked: Asked | None = asked_from_wire(changed)
    except (MalformedMessage, InvalidFields):
        return
    assert asked is not None
    assert expected is not None
    assert [bytes(each) for each in asked.raw] == list(expected.raw_input_contents)


def test_a_text_with_nul_beside_a_large_tensor_is_named() -> None:
    with pytest.raises(InvalidFields, match="id"):
        asked_from_wire(request([b"\0" * LARGE], id="a\0b").SerializeToString())


def test_a_request_of_countless_fields_is_refused_before_anything_is_made_of_them() -> None:
    with pytest.raises(InvalidRequest, match="4096"):
        asked_from_wire(b"\x3a\x00" * 400_000)


def test_a_small_tensor_does_not_keep_a_large_message_in_memory() -> None:
    unknown_field = b"\x7a" + b"\x80\x80\x80\x04" + bytes(8 * 2**20)
    asked = asked_from_wire(request([b"\1\2\3\4"]).SerializeToString() + unknown_field)
    (tensor,) = asked.raw
    assert bytes(tensor) == b"\1\2\3\4"
    assert isinstance(tensor, memoryview)
    assert isinstance(tensor.obj, bytes)
    assert len(tensor.obj) == len(tensor)
