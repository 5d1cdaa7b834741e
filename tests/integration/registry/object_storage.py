"""A server on loopback that speaks S3, and counts what is read from it."""

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from threading import Thread
from typing import Any

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

BUCKET = "headwater"
"""No other test of this process uses it: what moto stores is in the process, not in a server."""


class ObjectStorage:
    """One bucket."""

    def __init__(self) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server: Any = None
        self.port = 0
        self.read: dict[str, int] = {}
        """How many bytes of each object were read, by its key."""

    @property
    def environment(self) -> Mapping[str, str]:
        """What tells programs where it is and who they are."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": "someone",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }

    def start(self) -> None:
        """Answer; after ``stop`` on the same port, with the same objects."""
        self._server = make_server("127.0.0.1", self.port, self._counted, threaded=True)
        self.port = self._server.server_port
        Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()

    def client(self) -> Any:
        """Boto's client."""
        return boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name="us-east-1",
            aws_access_key_id="tests",
            aws_secret_access_key="tests",
        )

    def objects(self) -> list[str]:
        """The keys of all objects."""
        return [each["Key"] for each in self.client().list_objects_v2(Bucket=BUCKET).get("Contents", ())]

    def incomplete(self) -> list[str]:
        """The keys of objects whose parts came, and whose end did not."""
        return [each["Key"] for each in self.client().list_multipart_uploads(Bucket=BUCKET).get("Uploads", ())]

    def _counted(self, environ: Mapping[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        body: Iterable[bytes] = self._app(dict(environ), start_response)
        key = environ["PATH_INFO"].removeprefix(f"/{BUCKET}/")
        for chunk in body:
            if environ["REQUEST_METHOD"] == "GET":
                self.read[key] = self.read.get(key, 0) + len(chunk)
            yield chunk


@contextlib.contextmanager
def object_storage() -> Iterator[ObjectStorage]:
    """An empty bucket."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    storage = ObjectStorage()
    storage.start()
    storage.client().create_bucket(Bucket=BUCKET)
    yield storage
    with contextlib.suppress(Exception):
        client = storage.client()
        for key in storage.objects():
            client.delete_object(Bucket=BUCKET, Key=key)
        client.delete_bucket(Bucket=BUCKET)
    storage.stop()
