"""The registry as a process of its own, which tests kill, starve and start again."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator

from headwater.errors import HeadwaterError
from tests.integration.registry.client import Client


@contextlib.asynccontextmanager
async def process(port: int, settings: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """A registry on ``port``; killed in the end if it still runs."""
    environment = {**os.environ, **settings, "HEADWATER_PORT": str(port), "HEADWATER_ADMIN_PORT": "0"}
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.registry", env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


async def ready(client: Client) -> None:
    """Return when the registry answers."""
    for _ in range(300):
        with contextlib.suppress(HeadwaterError):
            await client.start_run()
            return
        await asyncio.sleep(0.1)
    raise AssertionError("the registry does not answer")
