"""A graph as years of pipelines leave it, straight into the registry's tables: data, runs that made more data of it,
and so on, in twenty levels, at the end deployments.

Every run reads three versions of data and makes one. Some data are read far more often than others, as data are: the
first of each level have thousands of readers.
"""

import dataclasses
import random
from collections.abc import Iterator

import asyncpg

LEVELS = 20
_INPUTS = 3
_EDGES_PER_COLUMN = (_INPUTS + 1) * LEVELS // 2
_PREFIX = "projects/default"
_RUNS = """
INSERT INTO runs (id, project_id, experiment_id, display_name, description, state, start_time, parameters, tags,
    annotations, parent_run, created_by, failure, job, "references", lifecycle, revision, update_time)
SELECT run.id::uuid, project.id, experiment.id, 'prepare', '', 2, now(), '{}', '{}',
    '{}', '', 'bench', '', '', '[]', 1, 1, now()
FROM projects AS project
JOIN experiments AS experiment ON experiment.project_id = project.id AND experiment.name = 'default',
    unnest($1::text[]) AS run (id)
WHERE project.name = 'default'
"""
_NODES = """
INSERT INTO lineage_nodes (name, id, kind, digest, revision, details)
SELECT name, gen_random_uuid(), kind,
    CASE kind WHEN 1 THEN 'sha256:' || encode(sha256(name::bytea), 'hex') ELSE '' END,
    CASE kind WHEN 5 THEN 1 ELSE 0 END,
    CASE kind WHEN 1 THEN '{"version": "v1.0.0", "row_count": "1000"}' ELSE '{}' END::jsonb
FROM lineage_names CROSS JOIN LATERAL (SELECT number & 15) AS of_number (kind) WHERE kind IN (1, 5)
"""
_LINKS = """
INSERT INTO lineage_links (second, first, run, role, id, project_id)
SELECT result, origin, run, role, gen_random_uuid(), (SELECT id FROM projects WHERE name = 'default') FROM bench_edges
"""
_ARCS = "INSERT INTO lineage_arcs (origin, result) SELECT origin, result FROM bench_edges"
_EDGES = "CREATE TEMPORARY TABLE bench_edges (origin bigint, result bigint, run bigint, role smallint) ON COMMIT DROP"
_TABLES = ("runs", "lineage_nodes", "lineage_names", "lineage_links", "lineage_arcs")


@dataclasses.dataclass(frozen=True, slots=True)
class Graph:
    """How many nodes each level has, and what they are called."""

    width: int

    @property
    def edges(self) -> int:
        """All of them."""
        return self.width * _EDGES_PER_COLUMN

    def name(self, level: int, place: int) -> str:
        """Of the node number ``place`` of a level."""
        if level == LEVELS:
            return f"{_PREFIX}/deployments/deployment-{place}"
        if level % 2:
            return f"{_PREFIX}/runs/{self._id(level, place)}"
        return f"{_PREFIX}/datasets/level-{level}/versions/v1.0.{place}"

    def number(self, level: int, place: int) -> int:
        """What the store calls it: in the last four bits is the kind."""
        return 16 * (level * self.width + place + 1) + _kind(level)

    def _id(self, level: int, place: int) -> str:
        return f"01900000-0000-7000-8000-{self.number(level, place):012x}"

    async def fill(self, database_url: str) -> None:
        """Make it."""
        connection = await asyncpg.connect(database_url)
        try:
            await connection.execute("SET search_path TO registry")
            async with connection.transaction():
                await self._copy(connection)
            for table in _TABLES:
                await connection.execute(f"VACUUM ANALYZE {table}")
        finally:
            await connection.close()

    async def _copy(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        places = [(level, place) for level in range(LEVELS + 1) for place in range(self.width)]
        names = [(self.number(*at), self.name(*at)) for at in places]
        await connection.copy_records_to_table("lineage_names", schema_name="registry", records=names)
        await connection.execute("SELECT setval('lineage_numbers', $1)", len(names))
        await connection.execute(_RUNS, [self._id(level, place) for level, place in places if level % 2])
        await connection.execute(_NODES)
        await connection.execute(_EDGES)
        await connection.copy_records_to_table("bench_edges", records=self._edges())
        await connection.execute(_LINKS)
        await connection.execute(_ARCS)

    def _edges(self) -> Iterator[tuple[int, int, int, int]]:
        """Each node with all that went into it, as a job writes it; the nodes in no order, as years bring them."""
        chance = random.Random(0)
        made = [(level, place) for level in range(1, LEVELS + 1) for place in range(self.width)]
        chance.shuffle(made)
        for level, place in made:
            here = self.number(level, place)
            if level % 2 == 0:
                run = self.number(level - 1, place)
                yield run, here, run, 3
                continue
            inputs: set[int] = set()
            while len(inputs) < _INPUTS:
                inputs.add(self.number(level - 1, int(self.width * chance.random() ** 3)))
            for each in inputs:
                yield each, here, here, 1


def _kind(level: int) -> int:
    if level == LEVELS:
        return 5  # a deployment
    return 4 if level % 2 else 1  # a run, or data


def graph_of(edges: int) -> Graph:
    """A graph of about so many edges."""
    return Graph(edges // _EDGES_PER_COLUMN)
