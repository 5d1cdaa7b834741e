"""docs/reference/filters.md lists what the code knows."""

import re

from chassis.filters.literals import TYPES
from chassis.filters.syntax import FUNCTIONS
from tests.unit.docs.documents import ROOT


def _row(name: str) -> list[str]:
    rows = (line for line in (ROOT / "docs/reference/filters.md").read_text().splitlines() if line.startswith("| "))
    (found,) = (row for row in rows if name in row.split("|")[1])
    return re.findall(r"`([^`]+)`", found.split("|")[2])


def test_the_functions_and_types_are_listed() -> None:
    assert _row("functions") == list(FUNCTIONS)
    assert _row("CAST") == list(TYPES)
