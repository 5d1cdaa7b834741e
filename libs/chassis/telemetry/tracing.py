"""One trace across gRPC, Flight and HTTP: W3C Trace Context in, OpenTelemetry spans inside, W3C Trace Context out.

Every call has a trace id, for its logs and its errors. A span is recorded only for the sampled share of them: an
OpenTelemetry span for every small call costs a third of the throughput, so the others carry no more than their ids.
"""

import contextlib
import contextvars
import dataclasses
import random
import re
from collections.abc import Iterator
from typing import Self

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags, TraceState

TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"

_FORM = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


@dataclasses.dataclass(slots=True)
class _Trace:
    """The trace that the current call belongs to. ``span`` is set while it is being recorded here."""

    parent: str
    state: str
    span: Span | None = None
    tracing: "Tracing | None" = None


_current: contextvars.ContextVar[_Trace | None] = contextvars.ContextVar("headwater_trace", default=None)


class Tracing:
    """One service's tracing. With no provider it records nothing, but still continues and starts traces."""

    def __init__(self, service: str, *, ratio: float = 1.0, provider: TracerProvider | None = None) -> None:
        self._service = service
        self._provider = provider
        self._tracer = provider.get_tracer(service) if provider else None
        self._ratio = ratio if provider else 0.0

    def record(self, provider: TracerProvider, ratio: float = 1.0) -> None:
        """From here on record the share ``ratio`` with ``provider``, which stays its owner's to shut down."""
        self._tracer, self._ratio = provider.get_tracer(self._service), ratio

    @classmethod
    def exporting(cls, service: str, endpoint: str, ratio: float) -> Self:
        """Tracing that sends the share ``ratio`` of the traces to an OTLP collector; an empty endpoint sends none."""
        if not endpoint:
            return cls(service)
        provider = TracerProvider(resource=Resource.create({"service.name": service}), shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=endpoint, insecure=not endpoint.startswith("https://"))
        provider.add_span_processor(BatchSpanProcessor(exporter))
        return cls(service, ratio=ratio, provider=provider)

    def begin(self, name: str, traceparent: str = "", tracestate: str = "") -> Span | None:
        """Begin answering a call: continue the caller's trace or start one, for the rest of this task or context.

        Returns the span if this call is recorded; whoever began it then ends it.
        """
        if traceparent and _FORM.match(traceparent):
            sampled = traceparent[54] in "13579bdf"  # the lowest bit of the flags
        else:
            sampled = self._ratio > 0 and random.random() < self._ratio  # noqa: S311 (sampling, not a secret)
            traceparent = "" if sampled else _new_traceparent()
        if not sampled or self._tracer is None:
            _current.set(_Trace(traceparent, tracestate))
            return None
        around = otel_context.Context()
        if traceparent:
            around = trace.set_span_in_context(NonRecordingSpan(_span_context(traceparent, tracestate)), around)
        span = self._tracer.start_span(name, context=around, kind=SpanKind.SERVER)
        otel_context.attach(trace.set_span_in_context(span, around))
        _current.set(_Trace(_traceparent_of(span), tracestate, span, self))
        return span

    def shutdown(self) -> None:
        """Send what is left. Blocks for some seconds if the collector does not answer."""
        if self._provider:
            self._provider.shutdown()

    @contextlib.contextmanager
    def child(self, name: str, attributes: dict[str, str | int | float | bool]) -> Iterator[None]:
        """A span inside the current one; see ``span``."""
        assert self._tracer is not None
        with self._tracer.start_as_current_span(name, attributes=attributes) as inner:
            outer = _current.get()
            token = _current.set(_Trace(_traceparent_of(inner), outer.state if outer else "", inner, self))
            try:
                yield
            finally:
                _current.reset(token)


@contextlib.contextmanager
def span(name: str, **attributes: str | int | float | bool) -> Iterator[None]:
    """A part of the current call that is worth seeing by itself; costs next to nothing when the call is not recorded.

    with span("write chunks", chunks=len(chunks)):
        ...
    """
    current = _current.get()
    if current is None or current.tracing is None:
        yield
        return
    with current.tracing.child(name, attributes):
        yield


def current_trace_id() -> str:
    """The trace id of the call being answered, 32 hex digits; empty outside of a call."""
    current = _current.get()
    return current.parent[3:35] if current else ""


def trace_headers() -> list[tuple[str, str]]:
    """The headers that let the service called next continue the current trace; none outside of a call."""
    current = _current.get()
    if current is None:
        return []
    headers = [(TRACEPARENT, current.parent)]
    if current.state:
        headers.append((TRACESTATE, current.state))
    return headers


def _new_traceparent() -> str:
    return f"00-{random.getrandbits(128) or 1:032x}-{random.getrandbits(64) or 1:016x}-00"


def _traceparent_of(span: Span) -> str:
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _span_context(traceparent: str, tracestate: str) -> SpanContext:
    _, trace_id, span_id, flags = traceparent[:55].split("-")
    state = TraceState.from_header([tracestate]) if tracestate else None
    return SpanContext(int(trace_id, 16), int(span_id, 16), True, TraceFlags(int(flags, 16) & 1), state)
