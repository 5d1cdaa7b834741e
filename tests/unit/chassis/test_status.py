"""Errors cross the wire whole, and fit into the trailers of a call."""

from google.rpc import code_pb2
from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import BY_CODE, Code, HeadwaterError, InvalidArgument
from headwater.status import from_bytes, from_code, from_proto, to_proto

TEXT = st.text(max_size=30)


@given(
    kind=st.sampled_from([*BY_CODE.values()]),
    message=TEXT,
    metadata=st.dictionaries(st.text(max_size=10), TEXT, max_size=6),
    retry=st.none() | st.integers(0, 10**9),
    trace=TEXT,
)
def test_an_error_comes_back_as_it_was_sent(
    kind: type[HeadwaterError], message: str, metadata: dict[str, str], retry: int | None, trace: str
) -> None:
    sent = kind(message, retry_after_ms=retry)
    sent.metadata = metadata
    sent.reason = "SOME_REASON"
    sent.violations = (("name", "must be shorter"),)
    got = from_bytes(to_proto(sent, trace).SerializeToString())
    assert got is not None
    assert type(got) is kind
    assert (got.message or kind("").message) == (sent.message or kind("").message)
    assert (got.reason, got.metadata, got.retry_after_ms) == ("SOME_REASON", metadata, retry)
    assert (got.violations, got.trace_id) == (sent.violations, trace)


@given(st.text(min_size=0, max_size=5000), st.integers(0, 50))
def test_a_status_stays_below_six_kibibytes_whatever_it_quotes(text: str, count: int) -> None:
    error = InvalidArgument(text)
    error.metadata = {f"{number}{'k' * 100}": text for number in range(count)}
    error.violations = [(text, text)] * count
    status = to_proto(error, "0" * 32)
    assert len(status.SerializeToString()) * 4 / 3 + len(status.message.encode()) * 3 < 6 * 1024


def test_a_reason_may_be_longer_lived_than_its_class() -> None:
    error = InvalidArgument("no")
    error.reason = "FROM_THE_FUTURE"
    assert from_proto(to_proto(error)).reason == "FROM_THE_FUTURE"


@given(st.binary(max_size=200))
def test_bytes_that_are_no_status_are_none_or_an_error_and_never_a_fault(raw: bytes) -> None:
    assert from_bytes(raw) is None or isinstance(from_bytes(raw), HeadwaterError)


def test_every_code_has_its_number_and_a_bare_code_its_class() -> None:
    for code in Code:
        assert to_proto(BY_CODE[code]("")).code == code_pb2.Code.Value(code.name)
        assert type(from_code(code.name, "")) is BY_CODE[code]
    assert from_code("UNKNOWN", "x").code is Code.INTERNAL
