"""Ids, page tokens, etags, Flight tickets: the small values that travel."""

import base64
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis import etags, paging
from chassis.etags import EtagMismatch
from chassis.flight.tickets import ExpiredTicket, ForeignTicket, InvalidTicket, Tickets
from chassis.ids import new_id
from chassis.paging import InvalidPageToken, Key
from chassis.testing.bad_inputs import BAD_PAGE_TOKENS
from headwater.errors import InvalidArgument, Unauthenticated
from headwater.registry.v1 import models_pb2

KEY = b"k" * 32
QUERY = paging.query_digest("projects/p", "stage = production")
KEYS = st.lists(
    st.one_of(st.integers(-(2**63), 2**63 - 1), st.text().filter(lambda text: "\0" not in text)), max_size=5
)


def test_ids_are_version_7_and_sort_in_the_order_of_time() -> None:
    ids = [new_id() for _ in range(10_000)]
    assert all(uuid.UUID(each).version == 7 and uuid.UUID(each).variant == uuid.RFC_4122 for each in ids)
    assert len(set(ids)) == len(ids)
    assert [each[:15] for each in ids] == sorted(each[:15] for each in ids)


@given(KEYS.map(tuple))
def test_a_page_token_brings_back_its_key(key: Key) -> None:
    assert paging.decode_token(paging.encode_token(key, QUERY), QUERY) == key


def test_no_token_means_the_first_page() -> None:
    assert paging.decode_token("", QUERY) is None


@given(KEYS.map(tuple))
def test_a_page_token_of_another_query_is_refused(key: Key) -> None:
    with pytest.raises(InvalidPageToken):
        paging.decode_token(paging.encode_token(key, paging.query_digest("projects/other")), QUERY)


@given(
    st.one_of(st.text(min_size=1, max_size=100), st.binary(min_size=1).map(lambda raw: base64.b64encode(raw).decode()))
)
def test_any_other_text_is_refused_as_a_page_token(text: str) -> None:
    with pytest.raises(InvalidPageToken):
        paging.decode_token(text, QUERY)


@pytest.mark.parametrize("token", BAD_PAGE_TOKENS.values(), ids=BAD_PAGE_TOKENS)
def test_a_bad_page_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidPageToken):
        paging.decode_token(token, QUERY)


@pytest.mark.parametrize("key", [(1,), ("a", "b"), ("a", 1, 2), ()])
def test_a_forged_key_of_other_types_is_refused(key: Key) -> None:
    with pytest.raises(InvalidPageToken):
        paging.decode_token(paging.encode_token(key, QUERY), QUERY, (str, int))


@pytest.mark.parametrize("part", [True, 1.5, None, [1], {"a": 1}, 2**63, "nul\0"])
def test_a_key_of_what_no_column_holds_is_refused(part: object) -> None:
    with pytest.raises(InvalidPageToken):
        paging.decode_token(paging.encode_token((part,), QUERY), QUERY)  # type: ignore[arg-type]


def test_pages_follow_each_other_until_the_rows_end() -> None:
    rows = list(range(25))
    seen: list[int] = []
    token = ""
    while True:
        after = paging.decode_token(token, QUERY, (int,))
        left = [row for row in rows if after is None or row > int(after[0])]
        page = paging.page_of(left[: 10 + 1], 10, key=lambda row: (row,), query=QUERY)
        seen += page.items
        if not (token := page.next_page_token):
            break
    assert seen == rows


def test_page_sizes_are_bounded() -> None:
    assert [paging.page_size(size) for size in (0, 1, 1000, 10**9)] == [50, 1, 1000, 1000]
    with pytest.raises(InvalidArgument):
        paging.page_size(-1)


def test_an_etag_changes_with_the_state() -> None:
    model = models_pb2.Model(name="projects/p/models/digits")
    first = etags.etag_of(model)
    model.display_name = "Digits"
    assert etags.etag_of(model) != first
    assert etags.etag_of(1) != etags.etag_of(2)


def test_a_stale_etag_is_refused_and_none_is_not() -> None:
    etags.check("", etags.etag_of(2))
    etags.check(etags.etag_of(2), etags.etag_of(2))
    with pytest.raises(EtagMismatch):
        etags.check(etags.etag_of(1), etags.etag_of(2))


@given(st.binary(max_size=1000), st.text())
def test_a_ticket_opens_for_its_subject_until_it_expires(payload: bytes, subject: str) -> None:
    now = 1000.0
    tickets = Tickets(KEY, lambda: now)
    ticket = tickets.sign(payload, subject, ttl_s=10)
    now = 1009.9
    assert tickets.open(ticket, subject) == payload
    with pytest.raises(ForeignTicket):
        tickets.open(ticket, subject + "x")
    now = 1010.0
    with pytest.raises(ExpiredTicket):
        tickets.open(ticket, subject)


@given(st.binary(max_size=200), st.integers(0, 10**6), st.integers(1, 255))
def test_no_byte_of_a_ticket_can_be_changed(payload: bytes, place: int, change: int) -> None:
    tickets = Tickets(KEY)
    ticket = bytearray(tickets.sign(payload, "ada", 60))
    ticket[place % len(ticket)] ^= change
    with pytest.raises(InvalidTicket):
        tickets.open(bytes(ticket), "ada")


@given(st.binary(max_size=300))
def test_random_bytes_are_no_ticket(ticket: bytes) -> None:
    with pytest.raises((InvalidTicket, Unauthenticated)):
        Tickets(KEY).open(ticket, "ada")


def test_a_payload_that_makes_a_ticket_too_long_is_a_fault_of_ours() -> None:
    with pytest.raises(ValueError, match="too long"):
        Tickets(KEY).sign(bytes(64 * 1024), "ada", 60)
