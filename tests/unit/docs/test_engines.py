"""docs/reference/engines.md lists the formats that are served."""

import re

from services.inference.engines.formats import LOADERS, STATE_LOADERS
from tests.unit.docs.documents import ROOT


def test_the_formats_are_those_of_the_code_in_their_order() -> None:
    text = (ROOT / "docs/reference/engines.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if re.match(r"\| `[a-z_]+` \|", line)]

    told = {row[0].strip("`"): (row[4], row[5]) for row in rows}

    said = {True: "yes", False: "no"}
    loaders = {**LOADERS, **STATE_LOADERS}
    assert list(told) == list(loaders)
    assert told == {name: (said[loader.cuda], said[loader.autocast]) for name, loader in loaders.items()}
