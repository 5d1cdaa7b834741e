"""Runs one pickle, or all pickles that follow each other in a file."""

import dataclasses
from collections.abc import Callable, Sequence

from services.registry.formats.content import Content
from services.registry.formats.pickles.cursor import Budget, Cursor, CutOff, Malformed
from services.registry.formats.pickles.findings import Findings
from services.registry.formats.pickles.machine import Machine
from services.registry.formats.pickles.values import PersistentId, Value

MAX_PICKLES = 1000
_PROTOCOL = 0x80


@dataclasses.dataclass(frozen=True, slots=True)
class Scanned:
    """What was read of a file of pickles.

    Attributes:
        values: what each pickle would build.
        broken: why the last one could not be read to its end; empty if it could.
        end: the first byte after the last pickle that could be read.
        cut: whether it could not only because the content ends.
    """

    values: Sequence[Value]
    broken: str
    end: int
    cut: bool = False


def run_one(
    content: Content,
    findings: Findings,
    budget: Budget,
    begin: int = 0,
    persistent: Callable[[Value], Value] = PersistentId,
) -> tuple[Value, int]:
    """What the pickle at ``begin`` would build, and the first byte after it.

    Raises:
        Malformed: it is none, or asks for more than the budget has.
    """
    cursor = Cursor(content, budget, begin)
    value = Machine(cursor, findings, persistent).run()
    return value, cursor.position


def run_all(content: Content, findings: Findings, budget: Budget) -> Scanned:
    """All pickles from the content's begin on, as far as they can be read."""
    values: list[Value] = []
    position = 0
    is_old = content.size > 0 and content.read(0, 1)[0] != _PROTOCOL  # protocols 0 and 1 do not say which they are
    try:
        while position < content.size and len(values) < MAX_PICKLES:
            if values and content.read(position, 1)[0] != _PROTOCOL and not is_old:
                break
            value, position = run_one(content, findings, budget, position)
            values.append(value)
    except Malformed as error:
        return Scanned(values, str(error), position, isinstance(error, CutOff))
    return Scanned(values, "", position)
