"""The code blocks of the documentation, as a reader meets them, and what is said to come out of them."""

import dataclasses
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
RUN: Final = ("bash", "python")
"""The languages of blocks that are run. A `text` block right below one says what it prints; others are not commands."""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclasses.dataclass(frozen=True, slots=True)
class Block:
    """A block that is run."""

    where: str
    """`docs/quickstart.md:42`, the line of its first command."""
    language: str
    code: str
    expected: Sequence[str] = ()
    """Lines that it prints, in this order, others among them; `…` stands for anything, and a run of spaces for any."""

    def check(self, output: str) -> None:
        """Raises AssertionError naming the first expected line that did not come."""
        lines = iter(output.splitlines())
        for wanted in self.expected:
            pattern = re.compile(".*".join(map(re.escape, _squeezed(wanted).split("…"))))
            assert any(pattern.fullmatch(_squeezed(line)) for line in lines), (
                f"{self.where} says that this is printed next, and it is not: {wanted!r}. What was printed:\n{output}"
            )


def sections(document: str) -> dict[str, list[Block]]:
    """The blocks of a document by the `## heading` that they are under."""
    text = (ROOT / document).read_text()
    starts = [*re.finditer(r"^## (.+)$", text, re.MULTILINE)]
    ends = [*(start.start() for start in starts[1:]), len(text)]
    return {start[1]: [*_blocks(document, text, start.start(), end)] for start, end in zip(starts, ends, strict=True)}


def _blocks(document: str, text: str, start: int, end: int) -> Iterator[Block]:
    fences = [*_FENCE.finditer(text, start, end)]
    for fence, following in itertools.zip_longest(fences, fences[1:]):
        if fence[1] not in RUN:
            continue
        expected: Sequence[str] = ()
        if following is not None and following[1] == "text" and not text[fence.end() : following.start()].strip():
            expected = following[2].splitlines()
        yield Block(f"{document}:{text.count(chr(10), 0, fence.start()) + 2}", fence[1], fence[2], expected)


def _squeezed(line: str) -> str:
    return " ".join(line.split())
