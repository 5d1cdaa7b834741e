"""Events are put together from a form that is kept; they are what ``to_event`` makes of a record."""

import datetime
import json

import hypothesis
from hypothesis import strategies as st

from services.inference.records.events import cloudevents
from services.inference.records.events.cloudevents import to_batch, to_event, to_lines
from services.inference.records.model import Record
from tests.unit.inference.records.records import record

_TEXTS = st.sampled_from(
    ["", "{}", "{0}", "{{x}}", '"\\', "\u00e4\u2028\n", "a" * 40, "0001-01-01T00:00:00.000001Z", "%s"]
)


@st.composite
def records(draw: st.DrawFn) -> Record:
    """With texts in every place in which clients or operators can put some."""
    name = draw(_TEXTS)
    return record()._replace(
        caller=draw(_TEXTS),
        result=draw(st.sampled_from(["OK", "QUEUE_FULL"])),
        inputs=json.dumps([[name, "FP32", [1, 2]]]),
        part_of=draw(st.sampled_from(["", "01972c9e-0000-7000-8000-000000000001"])),
        variant=draw(_TEXTS),
        is_final=draw(st.booleans()),
        latency_ms=draw(st.floats(0, 1e6)),
        response_bytes=draw(st.integers(0, 2**40)),
        request_time=draw(st.datetimes(timezones=st.just(datetime.UTC)).filter(lambda time: time.year > 1970)),
    )


@hypothesis.given(st.lists(records(), max_size=5))
def test_what_is_sent_is_the_event_of_each_record(some: list[Record]) -> None:
    expected = [to_event(each) for each in some]
    assert json.loads(to_batch(some)) == expected
    assert [json.loads(line) for line in to_lines(some).splitlines()] == expected
    for each, event in zip(some, expected, strict=True):
        assert datetime.datetime.fromisoformat(event["time"]) == each.request_time


def test_a_long_text_of_a_client_is_sent_and_not_kept() -> None:
    """Else a thousand refused requests, each with names as long as a request may be, stay in memory."""
    long = [record(inputs=json.dumps([[f"{number}" * 3000, "FP32", [1]]])) for number in range(3)]
    to_batch([record()])
    before = cloudevents._form.cache_info()
    assert json.loads(to_batch(long)) == [to_event(each) for each in long]
    assert cloudevents._form.cache_info() == before
    to_batch([record()])
    assert cloudevents._form.cache_info().hits == before.hits + 1, "others are kept as ever"
