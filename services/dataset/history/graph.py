"""Walks through the graph of commits.

A commit's number is greater than those of its ancestors. So a walk that always goes on with the greatest number comes
to every commit after all its descendants: once, and knowing all that leads to it.
"""

import heapq
from collections.abc import Iterable, Sequence

from services.dataset.history.model import Link
from services.dataset.history.store import Commits

_FIRST_LOOK = 64
_FURTHEST_LOOK = 1024


class Graph:
    """The commits that a walk has come near to. It asks the store a few times, however long the walk is."""

    def __init__(self, tx: Commits, look_ahead: int = _FIRST_LOOK) -> None:
        self._tx = tx
        self._look_ahead = look_ahead
        self._links: dict[bytes, Link] = {}

    async def links(self, ids: Iterable[bytes]) -> list[Link]:
        """The commits of these ids, which exist."""
        wanted = list(ids)
        if missing := [id_ for id_ in wanted if id_ not in self._links]:
            for link in await self._tx.ancestry(missing, self._look_ahead):
                self._links[link.id] = link
            self._look_ahead = min(2 * self._look_ahead, _FURTHEST_LOOK)
        return [self._links[id_] for id_ in wanted]


async def newest_first(
    tx: Commits, starts: Sequence[bytes], count: int, below: int | None = None
) -> tuple[list[Link], list[bytes]]:
    """The ``count`` newest of these commits and all their ancestors, and from where to go on for more of them.

    With ``below``, only commits with smaller numbers. Takes time in proportion to what it looks at.
    """
    graph = Graph(tx, count + 1)
    heap = [(-link.number, link.id) for link in await graph.links(starts)]
    heapq.heapify(heap)
    queued, found = set(starts), list[Link]()
    while heap and len(found) < count:
        (link,) = await graph.links([heapq.heappop(heap)[1]])
        if below is None or link.number < below:
            found.append(link)
        for parent in await graph.links(id_ for id_ in link.parents if id_ not in queued):
            queued.add(parent.id)
            heapq.heappush(heap, (-parent.number, parent.id))
    return found, [id_ for _, id_ in sorted(heap)]


async def merge_base(tx: Commits, ours: bytes, theirs: bytes) -> bytes | None:
    """The newest commit that both are or come from, or None. When it is ``ours``, ``theirs`` just goes on from there.

    Where branches were merged into each other crosswise there may be other such commits, none of them before this one.
    Takes time in proportion to what lies between the two and that commit.
    """
    graph, sides = Graph(tx), {ours: {"ours"}}
    sides.setdefault(theirs, set()).add("theirs")
    heap = [(-link.number, link.id) for link in await graph.links(sides)]
    heapq.heapify(heap)
    while heap:
        (link,) = await graph.links([heapq.heappop(heap)[1]])
        if len(sides[link.id]) == 2:
            return link.id
        for parent in await graph.links(link.parents):
            if parent.id not in sides:
                heapq.heappush(heap, (-parent.number, parent.id))
            sides.setdefault(parent.id, set()).update(sides[link.id])
    return None
