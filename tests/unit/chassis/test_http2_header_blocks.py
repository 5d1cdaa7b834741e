"""Header blocks say what they say to any other reader of HPACK, though most of them are only looked up."""

import base64
import urllib.parse

import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.rpc.http2.frames import Broken
from chassis.rpc.http2.header_blocks import NO_TABLE, OK, BadRequest, HeaderReader, Request, literals, trailers

HEAD = ((":method", "POST"), (":scheme", "http"), (":path", "/a.B/C"), ("content-type", "application/grpc"))
NAMES = st.sampled_from(["x", "y", "a-name", "z" * 300])
VALUES = st.sampled_from(["1", "2", "three", "v" * 400])
EXTRA = st.lists(st.tuples(NAMES, VALUES), max_size=4).map(tuple)


def encoded(*extra: tuple[str, str], head: tuple[tuple[str, str], ...] = HEAD) -> bytes:
    return hpack.Encoder().encode([*head, *extra])


def read(*extra: tuple[str, str], head: tuple[tuple[str, str], ...] = HEAD) -> Request:
    return HeaderReader().read(encoded(*extra, head=head))


def plainly(decoder: hpack.Decoder, block: bytes) -> tuple[tuple[str, str], ...]:
    return tuple((each[0].decode(), each[1].decode()) for each in decoder.decode(block, raw=True))


def outcome(reader: HeaderReader, block: bytes) -> Request | int | type[Broken] | None:
    """What a block says: a call, a status of HTTP for what is none, None for what is not even HTTP, or nothing."""
    try:
        return reader.read(block)
    except BadRequest as error:
        return error.status
    except Broken:
        return Broken


def plain_outcome(decoder: hpack.Decoder, block: bytes) -> Request | int | type[Broken] | None:
    """The same, with nothing looked up: the block's fields, read by another decoder, go through a new reader."""
    try:
        fields = decoder.decode(block, raw=True)
    except hpack.HPACKError:
        return Broken
    return outcome(HeaderReader(), hpack.Encoder().encode(list(fields)))


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_a_looked_up_block_says_what_reading_it_would_whatever_came_before(data: st.DataObject) -> None:
    """New blocks, blocks again in the bytes of before, resized tables, trailers, and calls that are none between."""
    encoder, decoder, reader = hpack.Encoder(), hpack.Decoder(), HeaderReader()
    blocks: list[bytes] = []
    for _ in range(data.draw(st.integers(1, 25))):
        step = data.draw(st.sampled_from(["new", "new", "again", "again", "resize", "trailers", "no call"]))
        if step == "resize":
            encoder.header_table_size = data.draw(st.sampled_from([0, 50, 200, 1000]))
            continue
        if step == "again" and blocks:
            block = data.draw(st.sampled_from(blocks))  # valid in itself, if its indices still are; else it breaks
        else:
            head = (*HEAD[:1], (":path", "/"), *data.draw(EXTRA)) if step == "no call" else (*HEAD, *data.draw(EXTRA))
            sensitive = data.draw(st.booleans())
            fields = [hpack.NeverIndexedHeaderTuple(*each) if sensitive else each for each in head]
            block = encoder.encode(fields, huffman=data.draw(st.booleans()))
            blocks.append(block)
        expected = plain_outcome(decoder, block)
        if step == "trailers" and expected is not Broken:
            reader.skip(block)
            continue
        assert outcome(reader, block) == expected
        if expected is Broken:
            return


def test_trailers_that_change_the_table_change_what_the_same_bytes_say_afterwards() -> None:
    reader, encoder = HeaderReader(), hpack.Encoder()
    reader.read(encoder.encode([*HEAD, ("x", "1")]))
    again = encoder.encode([*HEAD, ("x", "1")])
    assert reader.read(again).metadata == (("x", "1"),)
    reader.skip(encoder.encode([("y", "2")]))  # "x: 1" is one further down in the table now
    with pytest.raises(BadRequest):
        reader.read(again)


@given(st.binary(max_size=100))
def test_no_bytes_do_anything_but_be_read_or_be_refused(block: bytes) -> None:
    assert outcome(HeaderReader(), block) == plain_outcome(hpack.Decoder(), block)


def test_a_block_of_nothing_but_resizes_is_refused_unread() -> None:
    with pytest.raises(Broken):
        HeaderReader().read(b"\x20" * 60_000)
    assert HeaderReader().read(b"\x20\x3f\xe1\x1f" + encoded()).path == "/a.B/C"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1H", 3600.0), ("2M", 120.0), ("3S", 3.0), ("99999999m", 99999.999), ("5u", 5e-6), ("0n", 0.0)],
)
def test_timeouts_have_eight_digits_and_a_unit(text: str, seconds: float) -> None:
    assert read(("grpc-timeout", text)).timeout_s == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "S", "1", "1s", "-1S", "+1S", "1.5S", "123456789S", "١S", " 1S"])
def test_what_is_no_timeout_is_a_bad_request(text: str) -> None:
    with pytest.raises(BadRequest):
        read(("grpc-timeout", text))


def test_spaces_around_a_value_are_none_of_it() -> None:
    assert read(("x", " a b\t")).metadata == (("x", "a b"),)


def test_binary_metadata_come_with_padding_and_without_and_several_in_one() -> None:
    request = read(("a-bin", "AAE="), ("b-bin", "AAE"), ("c-bin", "AAE,AAI="), ("d-bin", ""), ("e", "AAE="))
    two, three = b"\0\1", b"\0\2"
    assert request.metadata == (
        ("a-bin", two), ("b-bin", two), ("c-bin", two), ("c-bin", three), ("d-bin", b""), ("e", "AAE="),
    )  # fmt: skip
    with pytest.raises(BadRequest):
        read(("a-bin", "a"))
    with pytest.raises(BadRequest):
        read(("a-bin", "AA*E"))


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (((":method", "GET"), *HEAD[1:]), 405),
        (HEAD[:3], 415),
        ((*HEAD[:3], ("content-type", "application/grpcfoo")), 415),
        ((*HEAD, ("x", "grün")), 400),
        (HEAD[1:], None),
        ((*HEAD[:1], *HEAD[:1], *HEAD[1:]), None),
        ((*HEAD[3:], *HEAD[:3]), None),
        ((*HEAD, (":status", "200")), None),
        ((*HEAD, ("Upper", "x")), None),
        ((*HEAD, ("a b", "x")), None),
        ((*HEAD, ("", "x")), None),
        ((*HEAD, ("x", "a\r\nb: c")), None),
        ((*HEAD, ("x", "a\0")), None),
        ((*HEAD, ("connection", "close")), None),
        ((*HEAD, ("te", "gzip")), None),
    ],
)
def test_what_is_no_call_is_refused_with_the_status_that_http_has_for_it(
    head: tuple[tuple[str, str], ...], status: int | None
) -> None:
    with pytest.raises(BadRequest) as caught:
        read(head=head)
    assert caught.value.status == status


@given(st.text(), st.integers(0, 16))
def test_any_text_of_a_status_can_be_read_again(text: str, code: int) -> None:
    fields = dict(plainly(hpack.Decoder(), trailers(code, text, b"")))
    message = fields.get("grpc-message", "")
    assert fields["grpc-status"] == str(code)
    assert urllib.parse.unquote(message) == text.strip(" ")
    assert message.isascii()
    assert message.isprintable()


def test_a_text_that_is_not_even_unicode_is_told_as_far_as_it_is() -> None:
    assert dict(plainly(hpack.Decoder(), trailers(2, "a\udc80b", b"")))["grpc-message"] == "a?b"


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b-c", "d.e_f"]), st.from_regex(r"[!-~]([ -~]{0,200}[!-~])?", fullmatch=True))
    )
)
def test_metadata_of_answers_arrive_as_they_are(metadata: list[tuple[str, str]]) -> None:
    assert plainly(hpack.Decoder(), NO_TABLE + OK + literals(metadata))[2:] == tuple(metadata)


@given(st.binary(max_size=500))
def test_bytes_go_as_base64_without_padding(value: bytes) -> None:
    ((name, text),) = plainly(hpack.Decoder(), literals((("x-bin", value),)))
    assert name == "x-bin"
    assert "=" not in text
    assert base64.b64decode(text + "=" * (-len(text) % 4)) == value


@pytest.mark.parametrize("pair", [("x", "a\nb"), ("x", "grün"), ("x", " a"), ("X", "a"), ("", "a"), ("a b", "a")])
def test_metadata_that_no_client_could_read_are_refused_where_they_are_set(pair: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="metadata"):
        literals((pair,))
