"""What a service tells about itself: traces that cross services, metrics, structured logs."""

from chassis.telemetry.logs import configure_logging
from chassis.telemetry.metrics import Calls, Metrics
from chassis.telemetry.tracing import Tracing, current_trace_id, span, trace_headers

__all__ = ["Calls", "Metrics", "Tracing", "configure_logging", "current_trace_id", "span", "trace_headers"]
