"""Messages are put together again, however they were cut and compressed, and none takes more room than it may."""

import contextlib
import gzip
import itertools
import tracemalloc
import zlib

import grpc
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.rpc.http2.inbox import PREFIX, Inbox, Refused

COMPRESS = {"gzip": gzip.compress, "deflate": zlib.compress, "identity": lambda raw: raw}


def prefixed(raw: bytes, compressed: int = 0) -> bytes:
    return PREFIX.pack(compressed, len(raw)) + raw


def taken(inbox: Inbox) -> list[bytes | memoryview]:
    return [inbox.take() for _ in range(len(inbox))]


def given_by(inbox: Inbox, sent: bytes) -> list[bytes | memoryview]:
    inbox.add(sent, 0, len(sent))
    return taken(inbox)


def refused(inbox: Inbox, sent: bytes) -> grpc.StatusCode:
    with pytest.raises(Refused) as caught:
        given_by(inbox, sent)
    return caught.value.code


@given(
    st.lists(st.tuples(st.binary(max_size=200) | st.binary(max_size=20).map(lambda each: each * 9000), st.booleans())),
    st.sampled_from(sorted(COMPRESS)),
    st.data(),
)
@settings(max_examples=100, deadline=None)
def test_any_cutting_gives_the_same_messages(
    messages: list[tuple[bytes, bool]], encoding: str, data: st.DataObject
) -> None:
    squeezed = [(raw, squeeze and encoding != "identity") for raw, squeeze in messages]
    sent = b"".join(prefixed(COMPRESS[encoding](raw) if squeeze else raw, squeeze) for raw, squeeze in squeezed)
    edges = [0, *sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=15))), len(sent)]
    inbox = Inbox(encoding, max_bytes=180_000)
    for begin, end in itertools.pairwise(edges):
        inbox.add(sent, begin, end)
    assert not inbox.in_message
    assert taken(inbox) == [raw for raw, _ in messages]
    assert inbox.unread_bytes == 0


@given(st.binary(max_size=300), st.sampled_from(sorted(COMPRESS)))
def test_no_bytes_do_anything_but_give_messages_or_be_refused(sent: bytes, encoding: str) -> None:
    with contextlib.suppress(Refused):
        assert all(len(each) <= 100 for each in given_by(Inbox(encoding, max_bytes=100), sent))


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("size", [999, 1000, 1001, 65_536, 65_537, 200_000])
@pytest.mark.parametrize("most", [1000, 65_536, 199_999])
def test_the_limit_is_that_of_the_message_as_it_was_before_it_was_compressed(
    encoding: str, size: int, most: int
) -> None:
    sent = prefixed(COMPRESS[encoding](bytes(size)), 1)
    inbox = Inbox(encoding, most)
    if size > most:
        assert refused(inbox, sent) is grpc.StatusCode.RESOURCE_EXHAUSTED
    else:
        inbox.add(sent, 0, len(sent))
        assert inbox.take() == bytes(size)


def test_many_bombs_take_no_more_memory_than_one_message() -> None:
    message = prefixed(gzip.compress(bytes(8 * 2**20)), 1)
    inbox = Inbox("gzip", 8 * 2**20)
    tracemalloc.start()
    try:
        for _ in range(30):
            inbox.add(message, 0, len(message))
        assert len(inbox.take()) == 8 * 2**20
        bomb = prefixed(gzip.compress(bytes(80 * 2**20)), 1)
        assert refused(Inbox("gzip", 8 * 2**20), bomb) is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert tracemalloc.get_traced_memory()[1] < 100 * 2**20 + 30 * len(message)
    finally:
        tracemalloc.stop()


def test_a_hundred_thousand_empty_messages_count_as_what_they_take() -> None:
    inbox = Inbox("identity", 100)
    sent = prefixed(b"") * 100_000
    inbox.add(sent, 0, len(sent))
    assert inbox.unread_bytes > 2**20, "or the client would be told to send more and more of them"
    assert taken(inbox) == [b""] * 100_000
    assert inbox.unread_bytes == 0


def test_what_is_not_compressed_as_was_said_is_refused() -> None:
    squeezed = gzip.compress(b"abc" * 1000)
    assert refused(Inbox("identity", 9000), prefixed(squeezed, 1)) is grpc.StatusCode.INTERNAL
    assert refused(Inbox("deflate", 9000), prefixed(squeezed, 1)) is grpc.StatusCode.INTERNAL
    assert refused(Inbox("gzip", 9000), prefixed(squeezed[:-1], 1)) is grpc.StatusCode.INTERNAL
    assert refused(Inbox("gzip", 9000), prefixed(squeezed + b"x", 1)) is grpc.StatusCode.INTERNAL
    assert refused(Inbox("gzip", 9000), prefixed(squeezed, 2)) is grpc.StatusCode.INTERNAL
    assert refused(Inbox("gzip", 9000), prefixed(b"", 1)) is grpc.StatusCode.INTERNAL


def test_a_length_over_the_limit_is_refused_before_any_of_the_message_has_come() -> None:
    assert refused(Inbox("identity", 100), PREFIX.pack(0, 101)) is grpc.StatusCode.RESOURCE_EXHAUSTED
    inbox = Inbox("identity", 100)
    sent = PREFIX.pack(0, 100)
    inbox.add(sent, 0, 5)
    assert inbox.in_message
    assert not inbox


def test_who_announces_a_large_message_and_does_not_send_it_takes_no_memory() -> None:
    before = psutil.Process().memory_info().rss
    inboxes = [Inbox("identity", 64 * 2**20) for _ in range(2000)]
    for inbox in inboxes:
        inbox.add(PREFIX.pack(0, 64 * 2**20) + b"x", 0, PREFIX.size + 1)
    assert psutil.Process().memory_info().rss - before < 32 * 2**20
    assert all(inbox.in_message and inbox.unfinished_bytes == PREFIX.size + 1 for inbox in inboxes)


def test_a_large_message_is_read_only_and_whole() -> None:
    content = bytes(range(256)) * 20_000
    inbox, sent = Inbox("identity", 64 * 2**20), prefixed(content)
    for begin in range(0, len(sent), 16_384):
        piece = sent[begin : begin + 16_384]
        inbox.add(piece, 0, len(piece))
    message = inbox.take()
    assert message == content
    assert memoryview(message).readonly
