"""Packed records come back as they were, whatever is in them."""

import datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.ids import new_id
from services.inference.records.model import Record, RecordQuery
from services.inference.records.packing import MAX_ROWS, Packed, pack, split_ids, to_id_bytes
from services.inference.records.store import BODIES_AT_ONCE
from tests.unit.inference.records.records import NOW, record

_DIGESTS = st.one_of(
    st.just(""), st.binary(min_size=32, max_size=32).filter(any).map(lambda each: f"sha256:{each.hex()}")
)
_FEW = st.sampled_from(["", "a", "zwölf", '"\\', "\u2028"])
_SIZES = st.integers(0, 2**40)
RECORDS = st.builds(
    Record,
    request_id=st.builds(new_id),
    project=st.sampled_from(["p", "q"]),
    deployment=_FEW,
    model_version=_FEW,
    model_digest=_FEW,
    request_digest=_DIGESTS,
    response_digest=_DIGESTS,
    caller=_FEW,
    request_time=st.integers(-(10**15), 10**15).map(lambda each: NOW + datetime.timedelta(microseconds=each)),
    latency_ms=st.floats(0, 1e9),
    batch_rows=st.integers(0, 2**31 - 1),
    rows=st.integers(0, 2**31 - 1),
    client_request_id=_FEW,
    result=st.sampled_from(["OK", "ENGINE_FAILED"]),
    request_bytes=_SIZES,
    response_bytes=_SIZES,
    inputs=st.just('[["x","FP32",[2,4]]]'),
    part_of=_FEW,
    is_final=st.booleans(),
    variant=_FEW,
    body_reason=_FEW,
    request_body=st.none() | st.binary(max_size=9),
    response_body=st.none() | st.binary(max_size=9),
    sequence=st.just(0),
)


def unpacked(records: list[Record], *, bodies: bool = True) -> list[Record]:
    """The records, packed and read again, without their numbers."""
    found = []
    for chunk in pack(records):
        packed = Packed(chunk.project, 1, chunk.row_count, chunk.content, chunk.bodies if bodies else None)
        found += [each._replace(sequence=0) for each in packed.chosen(None, range(chunk.row_count))]
    return found


@settings(max_examples=60, deadline=None)
@given(records=st.lists(RECORDS, max_size=6))
def test_records_come_back_by_project_as_they_were_packed(records: list[Record]) -> None:
    by_project = sorted(records, key=lambda each: [r.project for r in records].index(each.project))
    assert unpacked(records) == by_project
    plain = [each._replace(request_body=None, response_body=None) for each in by_project]
    assert unpacked(records, bodies=False) == plain


@settings(max_examples=30, deadline=None)
@given(records=st.lists(RECORDS, min_size=1, max_size=6))
def test_a_chunk_is_passed_by_only_if_nothing_in_it_is_wanted(records: list[Record]) -> None:
    for chunk in pack(records):
        own = [each for each in records if each.project == chunk.project]
        assert {each.deployment for each in own} == set(chunk.deployments)
        assert {each.model_version for each in own} == set(chunk.model_versions)
        assert {each.result for each in own} == set(chunk.results)
        assert (chunk.first_time, chunk.last_time) == (
            min(each.request_time for each in own),
            max(each.request_time for each in own),
        )
        assert chunk.first_request_id == min(each.request_id for each in own)
        assert chunk.last_request_id == max(each.request_id for each in own)
        assert split_ids(chunk.content[: 16 * len(own)]) == [to_id_bytes(each.request_id) for each in own]


def test_one_record_and_its_bodies_are_cut_out() -> None:
    first, second = record(request_body=b"ab", response_body=b""), record(request_body=None, response_body=b"cde")
    (chunk,) = pack([first, record(), second])
    packed = Packed("p", 41, 3, chunk.content, None)

    assert packed.find(new_id()) is None
    place = packed.find(second.request_id)
    assert place == 2
    start, size_bytes = packed.body_span(place)
    assert packed.record(place, chunk.bodies[start : start + size_bytes]) == second._replace(sequence=43)
    assert packed.record(0, b"ab") == first._replace(sequence=41)
    assert packed.record(1, b"").request_body is None
    wanted = RecordQuery("p", start=NOW, end=NOW)
    assert list(packed.chosen(wanted, range(3))) == []


def test_chunks_are_bounded_by_rows_and_by_bodies() -> None:
    assert [each.row_count for each in pack([record()] * (2 * MAX_ROWS + 1))] == [MAX_ROWS, MAX_ROWS, 1]
    large = record(request_body=bytes(BODIES_AT_ONCE // 2))
    assert [each.row_count for each in pack([large] * 5)] == [2, 2, 1]
