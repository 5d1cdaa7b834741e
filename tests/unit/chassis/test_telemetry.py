"""Trace context, metrics and logs."""

import contextvars
import json
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from chassis.telemetry import Metrics, Tracing, current_trace_id, span, trace_headers

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
UNSAMPLED = f"00-{TRACE_ID}-b7ad6b7169203331-00"
SAMPLED = f"00-{TRACE_ID}-b7ad6b7169203331-01"


def alone(work: Callable[[], object]) -> None:
    """Run ``work`` in a context of its own, as each call has one."""
    contextvars.Context().run(work)


def test_a_trace_is_continued_and_passed_on() -> None:
    def work() -> None:
        assert Tracing("x").begin("call", UNSAMPLED, "vendor=1") is None
        assert current_trace_id() == TRACE_ID
        assert trace_headers() == [("traceparent", UNSAMPLED), ("tracestate", "vendor=1")]

    alone(work)
    assert current_trace_id() == ""
    assert trace_headers() == []


@pytest.mark.parametrize(
    "header",
    [
        "",
        "garbage",
        UNSAMPLED.upper(),
        UNSAMPLED.replace("00-", "ff-", 1),
        f"00-{'0' * 32}-b7ad6b7169203331-00",
        f"00-{TRACE_ID}-{'0' * 16}-00",
        f"00-{TRACE_ID[:-1]}-b7ad6b7169203331-00",
    ],
)
def test_a_malformed_trace_begins_a_new_one(header: str) -> None:
    def work() -> None:
        Tracing("x").begin("call", header)
        assert len(current_trace_id()) == 32
        assert int(current_trace_id(), 16)
        assert current_trace_id() != TRACE_ID

    alone(work)


@given(st.text(max_size=100), st.text(max_size=100))
def test_any_header_is_survived(parent: str, state: str) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    alone(lambda: Tracing("x", provider=provider).begin("call", parent, state))
    alone(lambda: Tracing("x", provider=provider).begin("call", SAMPLED, state))


def test_a_recorded_call_has_its_parts_as_children() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    def work() -> None:
        outer = Tracing("x", provider=provider).begin("call", SAMPLED)
        assert outer is not None
        before = trace_headers()
        with span("part", rows=3):
            assert trace_headers() != before
            with span("of a part"):
                pass
        assert trace_headers() == before
        outer.end()

    alone(work)
    innermost, part, call = exporter.get_finished_spans()
    assert [each.name for each in (innermost, part, call)] == ["of a part", "part", "call"]
    assert {each.context.trace_id for each in (innermost, part, call)} == {int(TRACE_ID, 16)}
    assert innermost.parent is not None
    assert part.parent is not None
    assert call.parent is not None
    assert innermost.parent.span_id == part.context.span_id
    assert part.parent.span_id == call.context.span_id
    assert call.parent.span_id == 0xB7AD6B7169203331
    assert part.attributes == {"rows": 3}


def test_the_callers_decision_not_to_sample_is_kept() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    alone(lambda: pytest.fail("recorded") if Tracing("x", provider=provider).begin("call", UNSAMPLED) else None)


def test_a_span_outside_of_a_call_does_nothing() -> None:
    with span("nothing"):
        assert trace_headers() == []


def test_calls_are_counted_from_many_threads() -> None:
    metrics = Metrics()
    calls = metrics.calls("flight", "do_get")

    def work() -> None:
        for _ in range(5000):
            calls.begin()
            calls.end("OK", 0.003)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    text = metrics.exposition().decode()
    assert 'headwater_calls_total{code="OK",edge="flight",method="do_get"} 20000.0' in text
    assert 'headwater_call_seconds_bucket{edge="flight",le="0.0025",method="do_get"} 0.0' in text
    assert 'headwater_call_seconds_bucket{edge="flight",le="0.005",method="do_get"} 20000.0' in text
    assert 'headwater_call_seconds_count{edge="flight",method="do_get"} 20000.0' in text
    assert 'headwater_calls_in_flight{edge="flight",method="do_get"} 0.0' in text


LOGGING = f"""
import logging
import structlog
from chassis.telemetry import Tracing, configure_logging
configure_logging("registry", "INFO")
Tracing("registry").begin("call", "{UNSAMPLED}")
structlog.get_logger("x").info("hello", token="hunter2", url="redis://:hunter2@h/0", rows=3)
structlog.get_logger("x").debug("not shown")
logging.getLogger("library").warning("from %s", "a library")
try:
    raise ValueError("broken")
except ValueError as error:
    structlog.get_logger("x").error("failed", exc_info=error)
"""


def test_logs_are_json_with_the_trace_id_and_without_secrets() -> None:
    done = subprocess.run([sys.executable, "-c", LOGGING], capture_output=True, text=True, check=True, timeout=60)
    hello, library, failed = (json.loads(line) for line in done.stderr.splitlines())
    assert hello.items() >= {"event": "hello", "token": "***", "url": "redis://:***@h/0", "rows": 3}.items()
    for line in (hello, library, failed):
        assert (line["service"], line["trace_id"]) == ("registry", TRACE_ID)
        assert {"timestamp", "level", "logger"} <= line.keys()
    assert library["event"] == "from a library"
    assert "ValueError: broken" in failed["exception"]
