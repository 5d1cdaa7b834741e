"""The how-to page about lineage, run as it is written, against a registry and a dataset service."""

from pathlib import Path

from chassis.auth import Role
from chassis.service import Service
from chassis.testing import StartService, TokenFor
from headwater.client import Connection, Endpoints
from services.dataset.__main__ import build
from services.dataset.settings import Settings
from tests.e2e.pages import run_page


async def test_the_page_does_what_it_says(
    registry: Service, start_service: StartService, token_for: TokenFor, tmp_path: Path
) -> None:
    """R-24, R-25, N-02."""
    dataset = await start_service(build, Settings, flight_port=0, log_level="ERROR")
    endpoints = Endpoints(
        registry=registry.address, dataset=dataset.address, dataset_flight=f"127.0.0.1:{dataset.flight_port}"
    )
    with Connection(endpoints, token_for(Role.WRITER, Role.APPROVER)) as connection:
        await run_page("docs/how-to/follow-lineage.md", connection, tmp_path)
