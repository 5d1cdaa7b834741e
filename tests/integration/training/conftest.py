"""The registry, the dataset service and the scheduler, as they run in production, with small data in them."""

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from chassis.service import Service
from chassis.testing import Connect, StartService, TokenFor
from services.training_scheduler.__main__ import build
from services.training_scheduler.settings import Settings
from tests.integration.training.platform import Platform, start_platform, write_code

Folder = Callable[[str], Path]
"""``folder("print(1)")``: a folder with that text as train.py."""


@pytest.fixture
def scheduler_settings(tmp_path: Path, request: pytest.FixtureRequest) -> dict[str, Any]:
    """Settings of the test's scheduler; ``parametrize("scheduler_settings", [...], indirect=True)`` changes some."""
    settings = {"training_dir": tmp_path / "training", "poll_s": 0.5, "stop_grace_s": 2.0, "local_workers": 2}
    return settings | getattr(request, "param", {})


@pytest.fixture
async def platform(
    start_service: StartService, token_for: TokenFor, connect: Connect, scheduler_settings: dict[str, Any]
) -> AsyncIterator[Platform]:
    """The platform with one scheduler."""
    schedulers: list[Service] = []

    async def start(addresses: Mapping[str, str]) -> str:
        schedulers.append(await start_service(build, Settings, **addresses, **scheduler_settings))
        return schedulers[0].address

    async with start_platform(start_service, token_for, connect, start) as platform:
        yield platform


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A function that makes a folder with a train.py."""
    return lambda script: write_code(tmp_path, script)
