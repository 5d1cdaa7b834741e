"""`mlflow server` on the same PostgreSQL server as ours, in a database of its own: the peer of the registry."""

import asyncio
import contextlib
import os
import secrets
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import sqlalchemy

from chassis.embedded.server import free_port

MLFLOW = Path(__file__).parents[2] / ".peers" / "tracking" / "bin" / "mlflow"
_START_S = 180.0
_WORKERS = 4
"""mlflow's own default."""


class Mlflow:
    """A running server: its address, and its processes beside PostgreSQL's."""

    def __init__(self, url: str, database_url: str, process: psutil.Process) -> None:
        self.url = url
        self.database_url = database_url
        self.process = process


@contextlib.contextmanager
def mlflow_server(postgres_url: str, *, workers: int = _WORKERS) -> Iterator[Mlflow]:
    """A server on loopback over an empty database beside ours; both are gone afterwards.

    It commits as durably as we do: the PostgreSQL server is the same.
    """
    name = f"mlflow_{secrets.token_hex(4)}"
    asyncio.run(_execute(postgres_url, f"CREATE DATABASE {name}"))
    try:
        with (
            tempfile.TemporaryDirectory(prefix="mlflow-bench-") as folder,
            _running(_driver_url(postgres_url, name), Path(folder), workers) as server,
        ):
            yield server
    finally:
        asyncio.run(_execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)"))


@contextlib.contextmanager
def _running(database_url: str, folder: Path, workers: int) -> Iterator[Mlflow]:
    port = free_port()
    command = [
        str(MLFLOW),
        "server",
        *("--backend-store-uri", database_url),
        *("--artifacts-destination", str(folder / "artifacts")),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", str(workers)),
    ]
    # Its workers for jobs would only take the processor from what is measured.
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | quiet, cwd=folder)
        server = Mlflow(f"http://127.0.0.1:{port}", database_url, psutil.Process(process.pid))
        try:
            _wait(server.url, process, folder / "log")
            yield server
        finally:
            _stop(server.process)
            process.wait()


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError), urllib.request.urlopen(f"{url}/health"):
            return
        time.sleep(0.5)
    raise RuntimeError(f"mlflow does not answer:\n{log.read_text()[-2000:]}")


def _stop(process: psutil.Process) -> None:
    """The server and its workers."""
    every = [process]
    with contextlib.suppress(psutil.NoSuchProcess):
        every = [*process.children(recursive=True), process]
    for each in every:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.terminate()
    _, alive = psutil.wait_procs(every, timeout=10)
    for each in alive:
        each.kill()


def _driver_url(postgres_url: str, database: str) -> str:
    url = sqlalchemy.make_url(postgres_url).set(drivername="postgresql+psycopg2", database=database)
    return url.render_as_string(hide_password=False)


async def _execute(postgres_url: str, statement: str) -> None:
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
