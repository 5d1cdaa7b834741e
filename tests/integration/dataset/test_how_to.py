"""The how-to pages about datasets, run as they are written."""

from pathlib import Path

import pytest

from headwater.client import Connection
from tests.e2e.pages import run_page

PAGES = [
    "docs/how-to/read-with-pyarrow.md",
    "docs/how-to/train-from-a-dataset.md",
    "docs/how-to/change-a-dataset.md",
    "docs/how-to/prove-a-row.md",
]


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_does_what_it_says(page: str, connection: Connection, tmp_path: Path) -> None:
    await run_page(page, connection, tmp_path)
