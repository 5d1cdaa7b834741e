"""Load from h2load (of nghttp2), so that the client is not what is measured. Debian: `apt install nghttp2-client`."""

import bisect
import dataclasses
import re
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench.paired import Timed

_CONNECTIONS = 8
_LIMIT_S = 300
_MOMENT_S = 0.01


class NoLoad(RuntimeError):
    """h2load is not here, or what it asked was not answered."""


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """One recorded request, asked again and again.

    Attributes:
        body: of the request; for gRPC one message with its five bytes before it.
        http1: HTTP/1.1, which has one request at a time in a connection.
    """

    url: str
    body: bytes
    headers: Mapping[str, str]
    http1: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Load:
    """What came of it: the calls that were answered, how many in a second, and their times in seconds."""

    calls: int
    rate: float
    p50_s: float
    p99_s: float
    steady: Timed
    """The answers after the first ones, which came together, and the time from those to the last."""


def grpc_target(address: str, path: str, message: bytes, token: str = "") -> Target:
    """A unary call of gRPC."""
    headers = {"content-type": "application/grpc", "te": "trailers"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    return Target(f"http://{address}{path}", b"\0" + len(message).to_bytes(4, "big") + message, headers)


def load(target: Target, *, seconds: int, in_flight: int, core: int | None = None, calls_per_s: int = 0) -> Load:
    """Ask for so many ``seconds``, ``in_flight`` at once and, if given, ``calls_per_s``, from this ``core`` or any.

    Raises:
        NoLoad: a call was not answered with status 200; an error within gRPC's trailers is not seen here.
    """
    program = shutil.which("h2load")
    if program is None:
        raise NoLoad("h2load is not installed; Debian has it in the package nghttp2-client.")
    connections = in_flight if target.http1 else min(in_flight, _CONNECTIONS)
    with tempfile.TemporaryDirectory(prefix="headwater-load-") as folder:
        body, log = Path(folder, "body"), Path(folder, "log")
        body.write_bytes(target.body)
        command = [
            *(["taskset", "-c", str(core)] if core is not None else []),
            *(program, "--data", str(body), "--log-file", str(log)),
            *("--duration", str(seconds), "--clients", str(connections)),
            *(["--h1"] if target.http1 else ["--max-concurrent-streams", str(in_flight // connections)]),
            *([f"--rps={calls_per_s / connections}"] if calls_per_s else []),
            *(f"--header={name}: {value}" for name, value in target.headers.items()),
            target.url,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S)
        rate = re.search(r"finished in .*?, ([\d.]+) req/s", done.stdout)
        counts = re.search(r"(\d+) done, (\d+) succeeded, 0 failed, 0 errored, 0 timeout", done.stdout)
        if rate is None or counts is None or int(counts[1]) == 0 or "xx, 0 3xx, 0 4xx, 0 5xx" not in done.stdout:
            raise NoLoad(f"{target.url}: {done.stdout[-1500:]}{done.stderr[-500:]}")
        calls = [(int(begun), int(taken)) for begun, _, taken in map(str.split, log.read_text().splitlines())]
    times = sorted(taken / 1e6 for _, taken in calls)
    steady = _steady(sorted((begun + taken) / 1e6 for begun, taken in calls))
    return Load(int(counts[1]), float(rate[1]), statistics.median(times), times[int(len(times) * 0.99)], steady)


def _steady(ends: Sequence[float]) -> Timed:
    """Of the times at which answers came: a batch's come within a few milliseconds, and count as one moment."""
    first = bisect.bisect_right(ends, ends[0] + _MOMENT_S)
    last = bisect.bisect_left(ends, ends[-1] - _MOMENT_S)
    return Timed(len(ends) - first, max(ends[last] - ends[first - 1], 1e-9))
