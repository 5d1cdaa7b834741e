"""Small gRPC calls: our server (docs/adr/0018) and grpc.aio's; both only answer with what they are sent."""

import collections
from collections.abc import Callable, Iterator
from typing import Any

import grpc

from tests.bench.echo_peer import PATH, echo_server
from tests.bench.paired import Result, measure
from tests.bench.running import Running

CALLS = 2_000
_MESSAGE = bytes(300)


def run(_running: Running) -> Iterator[Result]:
    """One after another, and many in flight: the rate, and the processor time of the server."""
    with echo_server("ours") as (channel, process), echo_server("aio") as (peer_channel, peer_process):
        for in_flight in (1, 64):
            result = measure(
                f"echo of {len(_MESSAGE)} bytes, {in_flight} in flight",
                _calls(channel, in_flight),
                _calls(peer_channel, in_flight),
                unit="calls/s",
                peer="grpc.aio's server",
                servers=[process],
                peer_servers=[peer_process],
            )
            yield result
            yield result.of_cpu("")


def _calls(channel: grpc.Channel, in_flight: int) -> Callable[[], float]:
    call: Any = channel.unary_unary(PATH)

    def once() -> float:
        waiting: collections.deque[Any] = collections.deque()
        for _ in range(CALLS):
            waiting.append(call.future(_MESSAGE))
            if len(waiting) == in_flight:
                assert waiting.popleft().result() == _MESSAGE
        for each in waiting:
            each.result()
        return float(CALLS)

    return once
