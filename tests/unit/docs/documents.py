"""The repository's Markdown."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[3]
DOCUMENTS: Final = sorted(
    {
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("libs/*/README.md"),
        *ROOT.glob("libs/headwater/*/README.md"),
        *ROOT.glob("services/*/README.md"),
    }
)


def name(document: Path) -> str:
    """Its path within the repository."""
    return str(document.relative_to(ROOT))
