"""Logs: one JSON object a line on stderr, with the trace id of the call; secrets are masked before they are written."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from chassis.settings import redact
from chassis.telemetry.tracing import current_trace_id

_QUIET = ("uvicorn.error", "uvicorn.access", "asyncio", "alembic")
"""Libraries that tell in INFO what we tell ourselves."""


def configure_logging(service: str, level: str = "INFO") -> None:
    """Set up logging for this process, for structlog and for libraries that use ``logging``."""

    def add_context(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = service
        if trace_id := current_trace_id():
            event["trace_id"] = trace_id
        for name, value in event.items():
            event[name] = redact(name, value)
        return event

    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.format_exc_info,
        add_context,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(default=str),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
