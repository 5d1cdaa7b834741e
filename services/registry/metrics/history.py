"""The use cases of what runs measured: its history."""

from collections.abc import Sequence

from chassis.paging import Page, decode_token, page_of, page_size, query_digest
from headwater.names import RunName
from services.registry.metrics.model import MetricPoint, ObjectPoint, Span
from services.registry.runs.errors import RunNotFound
from services.registry.store import Store

_OBJECTS_PER_PAGE = 16  # of a mebibyte each at most


class MetricHistory:
    """Reads what runs measured."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def points(self, name: RunName, key: str, size: int, token: str) -> Page[MetricPoint | ObjectPoint]:
        """The points of one metric by step, then time: numbers or, where there is none, arrays and objects.

        Raises:
            RunNotFound
        """
        size, query = page_size(size), query_digest("points", name, key)
        after = decode_token(token, query, (int, int))
        position = (int(after[0]), int(after[1])) if after else None
        async with self._store.transaction() as tx:
            run = await tx.runs.get(name)
            rows: Sequence[MetricPoint | ObjectPoint] = []
            if key in run.metrics:
                rows = await tx.runs.points(run, key, after=position, limit=size + 1)
            else:
                size = min(size, _OBJECTS_PER_PAGE)
                rows = await tx.runs.object_points(run, key, after=position, limit=size + 1)
        return page_of(rows, size, key=lambda point: (point.step, point.time_us), query=query)

    async def sample(
        self, names: Sequence[RunName], keys: Sequence[str], span: Span
    ) -> Sequence[tuple[RunName, Sequence[MetricPoint]]]:
        """What plots need of these metrics: those with points, in the order of the runs, then of the keys.

        Raises:
            RunNotFound: one of them does not exist.
        """
        async with self._store.transaction() as tx:
            known = {run.name for run in await tx.runs.find([str(name) for name in names])}
            for name in names:
                if str(name) not in known:
                    raise RunNotFound(run=name)
            found = await tx.runs.sample([name.run for name in dict.fromkeys(names)], keys, span)
        series: dict[tuple[str, str], list[MetricPoint]] = {}
        for run_id, point in found:
            series.setdefault((run_id, point.key), []).append(point)
        places = [(name, key) for name in dict.fromkeys(names) for key in dict.fromkeys(keys)]
        return [(name, series[name.run, key]) for name, key in places if (name.run, key) in series]
