"""The how-to pages about models and runs, run as they are written."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chassis.auth import Role
from chassis.service import Service
from chassis.testing import TokenFor
from headwater.client import Connection, Endpoints
from tests.e2e.pages import run_page

PAGES = ["docs/how-to/log-runs.md", "docs/how-to/package-a-model.md", "docs/how-to/register-a-model.md"]


@pytest.fixture
def connection(registry: Service, token_for: TokenFor) -> Iterator[Connection]:
    """A connection to the registry of somebody who writes and approves."""
    with Connection(Endpoints(registry=registry.address), token_for(Role.WRITER, Role.APPROVER)) as connection:
        yield connection


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_does_what_it_says(page: str, connection: Connection, tmp_path: Path) -> None:
    await run_page(page, connection, tmp_path)
