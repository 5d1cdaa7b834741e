"""What a killed registry had acknowledged is there when it comes back (promise 1)."""

import asyncio
import hashlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from chassis.embedded import EmbeddedPostgres
from chassis.embedded.server import free_port
from chassis.testing import Connect
from headwater.errors import HeadwaterError
from headwater.registry.v1 import runs_pb2
from tests.integration.registry.client import Client
from tests.integration.registry.processes import process, ready


@pytest.mark.timeout(180)
async def test_what_was_acknowledged_survives_a_kill(
    start_postgres: Callable[[], EmbeddedPostgres], connect: Connect, blobs_dir: Path, auth_key_file: Path
) -> None:
    settings = {
        "HEADWATER_DATABASE_URL": start_postgres().url,
        "HEADWATER_BLOBS_URL": blobs_dir.as_uri(),
        "HEADWATER_AUTH_KEY_FILE": str(auth_key_file),
    }
    port = free_port()
    client = Client.on(connect(f"127.0.0.1:{port}"))
    steps: list[int] = []
    stored: dict[str, bytes] = {}
    enough = asyncio.Event()

    async def log(name: str) -> None:
        for step in range(10_000):
            points = [runs_pb2.MetricPoint(key=f"m{number}", step=step, value=step) for number in range(20)]
            await client.runs.LogMetrics(runs_pb2.LogMetricsRequest(name=name, points=points))
            steps.append(step)
            if len(steps) > 10 and len(stored) > 10:
                enough.set()

    async def upload() -> None:
        for number in range(10_000):
            content = hashlib.sha256(str(number).encode()).digest() * 1000
            stored[(await client.upload(content)).name] = content

    async with process(port, settings) as registry:
        await ready(client)
        run = await client.start_run()
        work = [asyncio.create_task(log(run.name)), asyncio.create_task(upload())]
        await enough.wait()
        await asyncio.sleep(random.random() / 4)
        registry.kill()
        for failed in await asyncio.gather(*work, return_exceptions=True):
            assert isinstance(failed, HeadwaterError)

    async with process(port, settings):
        await ready(client)
        acknowledged = set(steps)
        seen, token = set(), ""
        while True:
            request = runs_pb2.ListMetricPointsRequest(name=run.name, key="m7", page_size=1000, page_token=token)
            page = await client.runs.ListMetricPoints(request)
            seen |= {point.step for point in page.points}
            token = page.next_page_token
            if not token:
                break
        assert acknowledged <= seen
        assert len(seen - acknowledged) <= 1  # the one whose answer was lost: all or nothing
        for name, content in stored.items():
            assert await client.download(name) == content
