"""What waits, against a list that is sorted anew for every question."""

import asyncio
import time
from collections.abc import Sequence

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.inference.batching.lines import Lines
from services.inference.batching.waiting import NEVER, Shapes, Waiting

FAR = 1e6
LOOP = asyncio.new_event_loop()
LOOP.close()


class LinesAgainstList(RuleBasedStateMachine):
    """Adds, removes, takes, expires and sheds."""

    def __init__(self) -> None:
        super().__init__()
        self.lines = Lines()
        self.waiting: list[Waiting] = []
        self.now = time.monotonic()

    def ordered(self, shapes: Shapes | None = None) -> Sequence[Waiting]:
        """Those of a line, or all, by level, urgency and arrival."""
        among = [each for each in self.waiting if shapes in (None, each.fits_with)]
        return sorted(among, key=lambda each: (each.level, min(each.deadline, each.since + 10)))

    @rule(
        columns=st.integers(1, 3),
        rows=st.integers(0, 3),
        level=st.integers(0, 3),
        deadline=st.sampled_from([NEVER, FAR, -1.0, 3.0, 7.0]),
        ago_s=st.floats(0, 5),
    )
    def add(self, columns: int, rows: int, level: int, deadline: float, ago_s: float) -> None:
        future = asyncio.Future(loop=LOOP)  # type: ignore[var-annotated]
        until = self.now + deadline
        new = Waiting([], rows, ((columns,),), rows * 7, future, self.now - ago_s, level, until)
        self.lines.add(new)
        self.waiting.append(new)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        chosen = data.draw(st.sampled_from(self.waiting))
        assert self.lines.remove(chosen)
        assert not self.lines.remove(chosen)
        self.waiting.remove(chosen)

    @precondition(lambda self: self.waiting)
    @rule(count=st.integers(1, 4))
    def take(self, count: int) -> None:
        shapes = self.lines.next()
        assert shapes is not None
        first = self.ordered()[0]
        assert self.lines.line(shapes)[0][:2] == (first.level, min(first.deadline, first.since + 10))
        expected = self.ordered(shapes)[:count]
        taken = self.lines.take(shapes, min(count, len(self.lines.line(shapes))))
        assert taken == expected
        self.gone(taken)

    @precondition(lambda self: self.waiting)
    @rule()
    def take_the_oldest(self) -> None:
        shapes = self.lines.promote_oldest()
        (oldest,) = self.lines.take(shapes, 1)
        assert oldest.since == min(each.since for each in self.waiting)
        self.gone([oldest])

    @rule()
    def expire(self) -> None:
        expired = self.lines.take_expired()
        assert set(expired) == {each for each in self.waiting if each.deadline < self.now}
        self.gone(expired)

    @rule(level=st.integers(0, 3), requests=st.integers(1, 3), size_bytes=st.integers(0, 30))
    def shed(self, level: int, requests: int, size_bytes: int) -> None:
        later = [each for each in self.ordered() if each.level > level]
        victims = self.lines.take_less_important(level, requests, size_bytes)
        if len(later) < requests or sum(each.size_bytes for each in later) < size_bytes:
            assert not victims
        else:
            assert len(victims) >= requests
            assert sum(each.size_bytes for each in victims) >= size_bytes
            assert {each.level for each in victims} <= {each.level for each in later}
            kept = [each.level for each in later if each not in victims]
            assert max(kept, default=0) <= min(each.level for each in victims)
        self.gone(victims)

    def gone(self, some: Sequence[Waiting]) -> None:
        for each in some:
            assert each.entry is None, "what has left refers to nothing"
        self.waiting = [each for each in self.waiting if each not in some]

    @invariant()
    def counts_are_right(self) -> None:
        assert self.lines.length == len(self.waiting)
        assert self.lines.rows == sum(each.rows for each in self.waiting)
        assert self.lines.size_bytes == sum(each.size_bytes for each in self.waiting)
        assert self.lines.next_deadline <= min((each.deadline for each in self.waiting), default=NEVER)
        assert (self.lines.next() is None) == (not self.waiting)


TestLines = LinesAgainstList.TestCase
TestLines.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
