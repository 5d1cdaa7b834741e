"""The how-to pages about serving, run as they are written."""

from pathlib import Path
from typing import Any

from chassis.auth import Role
from tests.e2e.pages import run_page


async def test_the_page_about_pinned_preprocessing_does_what_it_says(start_platform: Any, tmp_path: Path) -> None:
    """N-04."""
    platform = await start_platform("registry", "preprocessing", "inference")
    with platform.connect(Role.WRITER) as connection:
        await run_page("docs/how-to/pin-preprocessing.md", connection, tmp_path)


async def test_the_page_about_defence_does_what_it_says(start_platform: Any, tmp_path: Path) -> None:
    """N-10, M-105."""
    platform = await start_platform("registry", "inference")
    with platform.connect(Role.WRITER) as connection:
        await run_page("docs/how-to/defend-a-deployment.md", connection, tmp_path)


async def test_the_page_about_rolling_out_does_what_it_says(start_platform: Any, tmp_path: Path) -> None:
    """R-23, N-10, M-104."""
    platform = await start_platform("registry", "inference")
    with platform.connect(Role.WRITER) as connection:
        await run_page("docs/how-to/roll-out-a-version.md", connection, tmp_path)


async def test_the_page_about_predictions_does_what_it_says(start_platform: Any, tmp_path: Path) -> None:
    """M-83…M-88."""
    platform = await start_platform("registry", "inference")
    with platform.connect(Role.WRITER) as connection:
        await run_page("docs/how-to/query-predictions.md", connection, tmp_path)
