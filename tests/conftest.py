"""Fixtures that tests of more than one service share; those of one service are in its own folders."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from chassis.testing import StartService, TokenFor
from tests import platform
from tests.platform import Platform

StartPlatform = Callable[..., Awaitable[Platform]]


@pytest.fixture
def start_platform(start_service: StartService, token_for: TokenFor, tmp_path: Path) -> StartPlatform:
    """``await start_platform("registry", "dataset")``: these services, or all six; stopped after the test."""

    async def start(*names: str) -> Platform:
        started = Platform(token_for)
        for name in names or platform.SERVICES:
            await platform.start(started, name, start_service, tmp_path / "training")
        return started

    return start
