"""Makes records of what was answered, in a thread, and lets others know of them."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import structlog

from services.inference.records.model import Answered, Record
from services.inference.records.pacing import paced
from services.inference.records.recording import NOTHING

T = TypeVar("T")

Observer = Callable[[Sequence[Answered]], None]
"""Is given what was answered since it was called last. Called in a thread, off the path of requests; what it raises is
logged and otherwise changes nothing."""
Listener = Callable[[Sequence[Record]], None]
"""As an Observer, of the records that were made."""

_log = structlog.get_logger("inference.recorder")


def make_records(
    batch: Mapping[str, Answered], listeners: Sequence[Listener], observers: Sequence[Observer]
) -> tuple[dict[str, Record], int]:
    """The records, by request id, and how much more memory they keep than what they are made of."""
    records: dict[str, Record] = {}
    change_bytes = 0
    for request_id, answered in paced(batch.items()):
        record = records[request_id] = _record(answered)
        if record.body_reason:
            change_bytes += record.body_bytes
        change_bytes -= answered.size_bytes
    for listener in listeners:
        _tell(listener, list(records.values()))
    for observer in observers:
        _tell(observer, list(batch.values()))
    return records, change_bytes


def _record(answered: Answered) -> Record:
    try:
        return answered.to_record()
    except Exception as error:  # one that nobody can make would hold up all that come after it
        _log.error("a request is recorded without its tensors", request=answered.request_id, exc_info=error)
        served = dataclasses.replace(answered.served, recording=NOTHING)
        return answered._replace(served=served, inputs=(), outputs=()).to_record()


def _tell(listener: Callable[[Sequence[T]], None], news: Sequence[T]) -> None:
    try:
        listener(news)
    except Exception as error:
        _log.error("somebody who listens to records failed", listener=repr(listener), exc_info=error)
