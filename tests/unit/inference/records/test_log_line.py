"""A line per request after NCSA (M-88), which no request can break."""

import datetime
import io
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.inference.records.log_file import RequestLog
from services.inference.records.log_line import log_line
from tests.unit.inference.records.records import record

LINE = re.compile(
    r"(?P<host>\S+) (?P<ident>\S+) (?P<user>\S+) \[(?P<time>[^]]+)\] "
    r'"(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\S+) (?P<bytes>\d+) "(?P<answer>(?:[^"\\]|\\.)*)" (?P<ms>[\d.]+)'
    r"(?P<extra>(?: \S+=\S+)*)"
)
"""NCSA's combined format, as any tool that knows it reads it, and the latency and extra values after it."""


def test_a_line_has_what_m88_asks_for() -> None:
    """M-88: time, request id, user id, model version, input, output, latency, extra."""
    time = datetime.datetime(2026, 11, 21, 18, 30, 0, 123456, datetime.UTC)
    line = log_line(record(request_id="01972c9e-0000-7000-8000-000000000000", request_time=time))

    assert line == (
        "digits 01972c9e-0000-7000-8000-000000000000 ada [21/Nov/2026:18:30:00.123 +0000] "
        f'"projects/p/models/digits/versions/3 x=FP32[2,4] sha256:{"b" * 64}" OK 8 "y=FP32[2] sha256:{"c" * 64}" 1.500 '
        f"batch=4 rows=2 client_request_id=mine variant=canary preprocessing=sha256:{'d' * 64}"
    )
    assert LINE.fullmatch(line)


def test_a_failure_has_its_reason_and_no_answer() -> None:
    found = LINE.fullmatch(log_line(record(result="QUEUE_FULL", outputs="[]", response_digest="", response_bytes=0)))
    assert found is not None
    assert (found["status"], found["answer"], found["bytes"]) == ("QUEUE_FULL", "", "0")


@settings(max_examples=100, deadline=None)
@given(caller=st.text(), client_id=st.text(), name=st.text())
def test_no_client_can_write_a_line_or_a_field_of_its_own(caller: str, client_id: str, name: str) -> None:
    line = log_line(record(caller=caller, client_request_id=client_id, inputs=json.dumps([[name, "FP32", [1]]])))
    assert line.isascii()
    assert line.isprintable()
    found = LINE.fullmatch(line)
    assert found is not None
    assert found["ident"].count("-") == 4
    assert (found["status"], found["ms"]) == ("OK", "1.500")


@pytest.mark.parametrize("caller", ["a\nb", 'a" 200 "', "a\\", "a b", "a\x1b[31m", "a\u2028b", "\ud800"])
def test_what_could_break_a_line_is_escaped(caller: str) -> None:
    found = LINE.fullmatch(log_line(record(caller=caller)))
    assert found is not None
    assert found["user"] != caller


def test_lines_go_on_in_a_new_file_when_the_old_one_is_moved_away(tmp_path: Path) -> None:
    log = RequestLog(str(tmp_path / "requests.log"))
    log([record(), record()])
    (tmp_path / "requests.log").rename(tmp_path / "requests.log.1")
    log([record()])

    assert len((tmp_path / "requests.log.1").read_text().splitlines()) == 2
    assert len((tmp_path / "requests.log").read_text().splitlines()) == 1


def test_a_log_that_cannot_be_written_stops_nothing_and_says_how_much_is_lost(tmp_path: Path) -> None:
    log = RequestLog(str(tmp_path / "not-there" / "requests.log"))
    log([record()])
    log([record(), record()])
    assert log.lost == 3

    (tmp_path / "not-there").mkdir()
    log([record()])
    assert log.lost == 3
    assert len((tmp_path / "not-there" / "requests.log").read_text().splitlines()) == 1


def test_lines_go_to_standard_output_when_that_is_wanted() -> None:
    output = io.StringIO()
    RequestLog("stdout", output)([record(), record()])
    assert [LINE.fullmatch(line) is not None for line in output.getvalue().splitlines()] == [True, True]
