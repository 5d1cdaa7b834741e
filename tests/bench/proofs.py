"""How long it takes to say of one row of a million whether it was used: a proof, checked, the list of versions, and the
models that were trained on them."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from headwater import datasets, models
from headwater.datasets import proofs
from headwater.names import ModelName
from headwater.row_users import row_users
from tests.bench.paired import Result, cpu_seconds
from tests.bench.running import Running

ROWS = 1_000_000
PROMISED_S = 1.0
_VERSIONS = 20
_ROUNDS = 7


def run(running: Running) -> Iterator[Result]:
    """A row that is there, one that is not, and all versions that hold one."""
    connection = running.connection
    table = pa.table({"id": np.arange(ROWS), "score": np.random.default_rng(0).random(ROWS)})
    for version in range(_VERSIONS):  # each lacks other rows at its end, and all have the row that is asked for
        kept = datasets.Tables({"train": table.slice(0, ROWS - version)})
        datasets.push(connection, "bench-proofs", kept)
    name = "bench-proofs@v1.0.0"
    dataset = datasets.resolve(connection, name).rpartition("/versions/")[0]
    present = proofs.row_digests(table.slice(ROWS // 2, 1))[0]
    absent = bytes(32)

    def prove(digest: bytes, row: int) -> None:
        assert proofs.check_proof(proofs.prove(connection, name, digest)).row == row

    def list_uses() -> None:
        assert len(list(proofs.uses(connection, dataset, present))) == _VERSIONS

    _train(running, dataset)

    def list_users() -> None:
        assert len(row_users(connection, "projects/default", present)) == _VERSIONS
        assert not row_users(connection, "projects/default", absent)

    yield _timed(running, f"prove and check one row of {ROWS:,}", lambda: prove(present, ROWS // 2))
    yield _timed(running, f"prove and check that a row is none of {ROWS:,}", lambda: prove(absent, -1))
    yield _timed(running, f"which of {_VERSIONS} versions of {ROWS:,} rows hold a row", list_uses)
    yield _timed(running, f"which models, {_VERSIONS}, were trained on a row, and that none was on another", list_users)


def _train(running: Running, dataset: str) -> None:
    """A model of each version, and one of nothing."""
    with tempfile.TemporaryDirectory() as folder:
        for version in range(_VERSIONS + 1):
            file = Path(folder, f"{version}.bin")
            file.write_bytes(bytes([version]))
            trained_on = [f"{dataset}/versions/v1.{version}.0"] if version < _VERSIONS else []
            model = ModelName("default", f"bench-proofs-{version}")
            models.register(running.connection, model, {file.name: file}, dataset_versions=trained_on)


def _timed(running: Running, name: str, work: Callable[[], None]) -> Result:
    servers = running.processes("dataset", "registry", "postgres")
    work()
    seconds, cpu_s = [], cpu_seconds(servers)
    for _ in range(_ROUNDS):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    cpu_ms = 1000 * (cpu_seconds(servers) - cpu_s) / _ROUNDS
    median = statistics.median(seconds)
    low, ratio, high = (PROMISED_S / each for each in (max(seconds), median, min(seconds)))
    return Result(name, median, PROMISED_S, "s", ratio, low, high, cpu_ms, "what was promised", "≥ 1.0")
