"""A trace as a picture: a layered graph, laid out here and drawn as SVG by the page.

Things stand in columns by their distance from the request, what went in to the right of what came out.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Final

from headwater.trace import Node

BOX_WIDTH: Final = 206
BOX_HEIGHT: Final = 62
_COLUMN_GAP: Final = 34
_ROW_GAP: Final = 18
_MARGIN: Final = 12
_MAX_FILES: Final = 4
"""Files drawn for each dataset version; the tree below the picture lists more."""


@dataclasses.dataclass(frozen=True, slots=True)
class Box:
    """One thing, with its place in pixels."""

    kind: str
    title: str
    digest: str
    x: int
    y: int

    @property
    def right(self) -> tuple[int, int]:
        """Where edges to what went in begin."""
        return self.x + BOX_WIDTH, self.y + BOX_HEIGHT // 2

    @property
    def left(self) -> tuple[int, int]:
        """Where edges from what came out end."""
        return self.x, self.y + BOX_HEIGHT // 2


@dataclasses.dataclass(frozen=True, slots=True)
class Picture:
    """Boxes, edges as SVG paths, and the size of the whole in pixels."""

    boxes: Sequence[Box]
    edges: Sequence[str]
    width: int
    height: int


def draw(root: Node) -> Picture:
    """The picture of a trace. Pure."""
    placed: list[tuple[Box, Box | None]] = []
    height = _place(root, 0, _MARGIN, None, placed) - _ROW_GAP + _MARGIN
    boxes = [box for box, _ in placed]
    edges = [_curve(parent, box) for box, parent in placed if parent is not None]
    width = max(box.x for box in boxes) + BOX_WIDTH + _MARGIN
    return Picture(boxes, edges, width, height)


def _place(node: Node, column: int, top: int, parent: Box | None, placed: list[tuple[Box, Box | None]]) -> int:
    """Place ``node`` and all below it from ``top`` on; returns where the next thing may stand."""
    x = _MARGIN + column * (BOX_WIDTH + _COLUMN_GAP)
    box = Box(node.kind, _title(node), node.digest, x, top)
    placed.append((box, parent))
    bottom = top
    for origin in _drawn(node):
        bottom = _place(origin, column + 1, bottom, box, placed)
    return max(bottom, top + BOX_HEIGHT + _ROW_GAP)


def _drawn(node: Node) -> Iterator[Node]:
    files = [origin for origin in node.origins if origin.kind == "file"]
    # What nothing went into comes first: it takes one row, and leaves no hole below a thing that takes many.
    yield from sorted(
        (origin for origin in node.origins if origin.kind != "file"), key=lambda origin: bool(origin.origins)
    )
    if len(files) > _MAX_FILES:
        files = [*files[: _MAX_FILES - 1], files[-1]]
    yield from files


def _title(node: Node) -> str:
    """The telling end of a resource name: ``digits / 3`` of ``projects/default/models/digits/versions/3``."""
    parts = node.name.split("/")
    if node.kind == "file" or len(parts) < 4:
        return node.name
    return " / ".join(parts[3::2])


def _curve(parent: Box, child: Box) -> str:
    (x1, y1), (x2, y2) = parent.right, child.left
    middle = (x1 + x2) // 2
    return f"M{x1},{y1} C{middle},{y1} {middle},{y2} {x2},{y2}"
