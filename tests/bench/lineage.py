"""Walks of a graph with a million edges in twenty levels, over gRPC: half of the answers, and 99 of 100, come within.

Each walk starts at another node, of whatever level, and gets what GetLineage and GetImpact give unless asked for
otherwise: up to 1,000 nodes with all that is known of them and their edges, and of 10,000 how many depend of each kind.
"""

import asyncio
import random
import statistics
import time
from collections.abc import Callable, Iterator

from headwater.registry.v1 import lineage_pb2, lineage_pb2_grpc
from tests.bench.latency import within
from tests.bench.lineage_graph import LEVELS, graph_of
from tests.bench.paired import Result, cpu_seconds
from tests.bench.running import Running

EDGES, CALLS, ROUNDS = 1_000_000, 200, 5
LIMIT_MS = 50.0
_Get = lineage_pb2.GetLineageRequest


def run(running: Running, edges: int = EDGES) -> Iterator[Result]:
    """Upstream, downstream, and what depends on it."""
    graph = graph_of(edges)
    asyncio.run(graph.fill(running.database_url))
    stub = lineage_pb2_grpc.LineageServiceStub(running.connection.channel("registry"))
    chance = random.Random(0)

    def somewhere() -> str:
        return graph.name(chance.randrange(LEVELS + 1), chance.randrange(graph.width))

    def get(direction: "_Get.Direction.ValueType") -> int:
        return len(stub.GetLineage(_Get(name=somewhere(), direction=direction)).artifacts)

    def impact() -> int:
        return sum(each.count for each in stub.GetImpact(lineage_pb2.GetImpactRequest(name=somewhere())).dependents)

    for what, call in (
        ("upstream", lambda: get(_Get.DIRECTION_UPSTREAM)),
        ("downstream", lambda: get(_Get.DIRECTION_DOWNSTREAM)),
        ("impact", impact),
    ):
        yield from _measured(running, f"{what} of a node of {graph.edges:,} edges", call)


def _measured(running: Running, name: str, call: Callable[[], int]) -> Iterator[Result]:
    servers = running.processes("registry", "postgres")
    for _ in range(CALLS // 4):
        call()
    cpu_s = cpu_seconds(servers)
    rounds, nodes = [], []
    for _ in range(ROUNDS):
        taken = []
        for _ in range(CALLS):
            begun = time.perf_counter()
            nodes.append(call())
            taken.append((time.perf_counter() - begun) * 1000)
        rounds.append(sorted(taken))
    cpu_ms = (cpu_seconds(servers) - cpu_s) * 1000 / (ROUNDS * CALLS)
    found = f"{statistics.median(nodes):,.0f} nodes, at most {max(nodes):,}"
    yield from within(f"{name}: {found}", rounds, LIMIT_MS, cpu_ms)
