"""Channels that carry the caller's token and raise Headwater's errors (skeleton; the signatures are final)."""

from collections.abc import Callable

import grpc
import grpc.aio


def channel(address: str, *, token: str | Callable[[], str] = "", timeout_s: float = 30.0) -> grpc.Channel:
    """A synchronous channel; lazily connected."""
    return grpc.insecure_channel(address)


def aio_channel(address: str, *, token: str | Callable[[], str] = "", timeout_s: float = 30.0) -> grpc.aio.Channel:
    """An asyncio channel; lazily connected."""
    return grpc.aio.insecure_channel(address)
