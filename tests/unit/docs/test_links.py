"""What the documentation names is there."""

import re
import unicodedata
from pathlib import Path

import pytest

from tests.unit.docs.documents import DOCUMENTS, ROOT, name

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"```.*?```", re.DOTALL)
# `services/dataset/rows/mapped.py`, and `tests/contract/`: a path from the root, whatever follows it in the code.
_PATH = re.compile(r"`((?:libs|services|deploy|tests|docs|protos)/[\w./-]*)`")


def _anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", _CODE.sub("", document.read_text()), re.MULTILINE)
    return {_anchor(heading) for heading in headings}


def _anchor(heading: str) -> str:
    """As GitHub makes them: lower case, spaces to hyphens, no punctuation."""
    kept = (
        character for character in heading.lower() if unicodedata.category(character)[0] in "LN" or character in " -_"
    )
    return "".join(kept).replace(" ", "-")


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_link_leads_somewhere(document: Path) -> None:
    for link in _LINK.findall(_CODE.sub("", document.read_text())):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), f"{name(document)} links to {link}"
        assert not anchor or anchor in _anchors(target), f"{name(document)} links to {link}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_path_that_is_named_exists(document: Path) -> None:
    text = document.read_text()
    missing = [path for path in _PATH.findall(text) if not (ROOT / path).exists()]
    assert not missing, f"{name(document)} names {', '.join(missing)}"


def test_every_decision_is_listed() -> None:
    listed = (ROOT / "docs/adr/README.md").read_text()
    for decision in (ROOT / "docs/adr").glob("0*.md"):
        assert f"({decision.name})" in listed
        for heading in ("Context", "Decision", "Consequences", "Enforced by"):
            assert f"\n## {heading}\n" in decision.read_text(), f"{decision.name} has no {heading}"
