"""Places for datastores: a folder, a bucket on a server that speaks S3, databases."""

import contextlib
import io
import logging
import sqlite3
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet
from moto.server import ThreadedMotoServer

from headwater.dataset.v1 import datastores_pb2

SECRET = "CANARY-4f1c9e"
BUCKET = "lake-of-tests"


class Bucket:
    """A bucket, and what is in it."""

    def __init__(self, port: int, go_away: Callable[[], None]) -> None:
        self.go_away = go_away
        self.host = f"127.0.0.1:{port}"
        self.place = datastores_pb2.S3Bucket(
            bucket=BUCKET, prefix="data", region="us-east-1", endpoint=f"http://{self.host}"
        )
        self.credentials = {"access_key_id": "someone", "secret_access_key": SECRET}
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=f"http://{self.host}",
            region_name="us-east-1",
            aws_access_key_id="tests",
            aws_secret_access_key="tests",
        )
        self._client.create_bucket(Bucket=BUCKET)

    def put(self, key: str, content: bytes) -> None:
        self._client.put_object(Bucket=BUCKET, Key=f"data/{key}", Body=content)


@contextlib.contextmanager
def s3_bucket() -> Iterator[Bucket]:
    """A server on loopback with one empty bucket."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        yield Bucket(server.get_host_and_port()[1], server.stop)
    finally:
        server.stop()


def parquet(columns: Mapping[str, Any]) -> bytes:
    sink = io.BytesIO()
    pa.parquet.write_table(pa.table(columns), sink)
    return sink.getvalue()


def postgresql(url: str) -> tuple[datastores_pb2.SqlDatabase, dict[str, str]]:
    """The database at the URL as a place, with its credentials."""
    parts = urllib.parse.urlsplit(url)
    place = datastores_pb2.SqlDatabase(
        dialect=datastores_pb2.SqlDatabase.DIALECT_POSTGRESQL,
        host=parts.hostname or "",
        port=parts.port or 0,
        database=parts.path[1:],
    )
    return place, {"username": parts.username or "", "password": urllib.parse.unquote(parts.password or "")}


def sqlite(path: Path, rows: int) -> datastores_pb2.SqlDatabase:
    """A SQLite file with a table ``orders``."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER, item TEXT)")
        connection.executemany("INSERT INTO orders VALUES (?, ?)", [(row, f"item {row}") for row in range(rows)])
        connection.commit()
    return datastores_pb2.SqlDatabase(dialect=datastores_pb2.SqlDatabase.DIALECT_SQLITE, database=str(path))
