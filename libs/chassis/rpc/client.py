"""Channels from one service to another: the caller's trace goes along, and so does the caller's deadline."""

from collections.abc import Callable

import grpc.aio

from chassis.deadline import remaining_s
from chassis.settings import ServiceSettings
from chassis.telemetry import trace_headers
from headwater import rpc


def channel(address: str, *, token: Callable[[], str], settings: ServiceSettings) -> grpc.aio.Channel:
    """A channel that connects at the first call, so that services start in any order; see ``headwater.rpc``.

    ``token`` is asked at each call: ``chassis.auth.current_token`` to go on in the caller's name, or
    ``Authenticator.token_source`` for the service's own.
    """
    return rpc.aio_channel(
        address,
        token=token,
        max_message_bytes=settings.max_message_bytes,
        headers=trace_headers,
        time_left=remaining_s,
    )
