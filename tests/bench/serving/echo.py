"""An echo through a deployment against the same through other servers: server on one core, load from the other."""

import contextlib
import os
import statistics
from collections.abc import Iterator, Sequence

import psutil

from tests.bench.paired import Result, measure
from tests.bench.running import Running
from tests.bench.serving import peers
from tests.bench.serving.h2load import Target, load
from tests.bench.serving.serve import serve
from tests.unit.inference.onnx_models import identity

SERVER_CORE, LOAD_CORE = 0, 1
IN_FLIGHT = 64
_SECONDS = 2
_ROUNDS = 6
_SMALL = (16,)
_SIZES: Sequence[tuple[str, peers.Shape]] = (("16 float32", _SMALL), ("602 KB", (3, 224, 224)))
_PEERS: Sequence[tuple[str, peers.Peer, Sequence[str]]] = (
    ("a bare grpc.aio servicer", peers.bare_servicer, ("≥ 0.9", "≥ 0.9")),
    ("MLServer 1.7", peers.mlserver, ("≥ 1.8", "≥ 8")),
    ("PyTriton 0.7", peers.pytriton, ("≥ 1", "≥ 1.6")),
    ("Ray Serve 2.60, HTTP, all cores", peers.ray_serve, ("≥ 3", "≥ 3")),
    ("LitServe 0.2, HTTP", peers.litserve, ("≥ 3", "≥ 3")),
)


def run(running: Running) -> Iterator[Result]:
    """Many in flight for each size and peer, then one at a time against PyTriton."""
    pin(running.processes("inference", "postgres"), SERVER_CORE)
    for position, (title, shape) in enumerate(_SIZES):
        ours = _deploy(running, f"bench-echo-{position}", shape)
        for name, peer, must_be in _PEERS:
            with _started(name, peer, shape) as started:
                if started is not None:
                    what = f"echo of {title}, {IN_FLIGHT} in flight"
                    yield _many(running, what, ours, name, *started, must_be[position])
    with _started("PyTriton 0.7", peers.pytriton, _SMALL) as started:
        if started is not None:
            yield _one_at_a_time(_deploy(running, "bench-echo-one", _SMALL), started[0])


def pin(processes: Sequence[psutil.Process], core: int) -> None:
    """Let these processes, their children and all threads that they have or will start run on this core alone."""
    for process in processes:
        for each in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):  # PostgreSQL's come and go
                for thread in each.threads():
                    with contextlib.suppress(ProcessLookupError):
                        os.sched_setaffinity(thread.id, {core})


@contextlib.contextmanager
def _started(name: str, peer: peers.Peer, shape: peers.Shape) -> Iterator[tuple[Target, psutil.Process] | None]:
    with contextlib.ExitStack() as stack:
        try:
            started = stack.enter_context(peer(shape, SERVER_CORE))
        except peers.PeerMissing as missing:
            print(f"  not measured against {name}: {missing}", flush=True)
            started = None
        yield started


def _many(
    running: Running, what: str, ours: Target, name: str, theirs: Target, process: psutil.Process, must_be: str
) -> Result:
    return measure(
        what,
        lambda: float(load(ours, seconds=_SECONDS, in_flight=IN_FLIGHT, core=LOAD_CORE).calls),
        lambda: float(load(theirs, seconds=_SECONDS, in_flight=IN_FLIGHT, core=LOAD_CORE).calls),
        unit="calls/s",
        peer=name,
        servers=running.processes("inference", "postgres"),
        peer_servers=[process],
        must_be=must_be,
        rounds=_ROUNDS,
    )


def _one_at_a_time(ours: Target, theirs: Target) -> Result:
    """The median time of a call, where no other is in flight."""

    def median_ms(target: Target) -> float:
        return load(target, seconds=_SECONDS, in_flight=1, core=LOAD_CORE).p50_s * 1000

    pairs = [(median_ms(ours), median_ms(theirs)) for _ in range(_ROUNDS + 1)][1:]
    ratios = sorted(own / other for own, other in pairs)
    own_ms, their_ms = (statistics.median(side) for side in zip(*pairs, strict=True))
    return Result(
        name="echo of 16 float32, one at a time, median",
        ours=own_ms,
        theirs=their_ms,
        unit="ms",
        ratio=statistics.median(ratios),
        low=ratios[0],
        high=ratios[-1],
        cpu_ms=0.0,
        peer="PyTriton 0.7",
        must_be="≤ 0.8",
    )


def _deploy(running: Running, name: str, shape: peers.Shape) -> Target:
    """An ONNX model that gives back what it gets, served."""
    array = peers.example(shape)
    target = serve(running, name, identity(shape=("rows", *shape)), array)
    peers.check_grpc(target, array)
    return target
