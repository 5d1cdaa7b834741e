"""Channels from one service to another (skeleton; the signature is final)."""

from collections.abc import Callable

import grpc.aio

from chassis.settings import ServiceSettings


def channel(address: str, *, token: Callable[[], str], settings: ServiceSettings) -> grpc.aio.Channel:
    """A lazily connected channel that raises HeadwaterError subclasses."""
    return grpc.aio.insecure_channel(address)
