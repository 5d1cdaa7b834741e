"""What an overloaded process takes for an absent dependency (promise 11)."""

import asyncio
import time

import pytest

from chassis import readiness
from chassis.readiness import Readiness


async def test_a_dependency_is_not_away_because_the_process_has_too_much_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a replica would be taken out of service by its load, and the load go to the next one."""
    monkeypatch.setattr(readiness, "_TURN_S", 0.005)  # 0.1 s for a check
    watched = Readiness(interval_s=1)

    async def answers_in_several_turns() -> None:
        for _ in range(12):
            await asyncio.sleep(0)

    watched.add_check("database", answers_in_several_turns)
    watched.add_check("stuck", asyncio.Event().wait)  # type: ignore[arg-type]
    busy = asyncio.create_task(_keep_busy())
    begun = time.monotonic()
    await watched.check_once()
    busy.cancel()
    assert time.monotonic() - begun > 0.2
    states = watched.report()
    assert states["database"] == "ok"
    assert states["stuck"].startswith("away for")


async def test_a_check_that_is_given_up_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "_TURN_S", 0.001)
    watched = Readiness(interval_s=1)
    before = asyncio.all_tasks()
    watched.add_check("stuck", asyncio.Event().wait)  # type: ignore[arg-type]
    await watched.check_once()
    assert not watched.ready
    assert asyncio.all_tasks() == before


async def _keep_busy() -> None:
    while True:
        time.sleep(0.02)  # noqa: ASYNC251 the event loop is late by it, as by many requests
        await asyncio.sleep(0)
