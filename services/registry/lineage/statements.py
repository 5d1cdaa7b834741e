"""The statements by which PostgreSQL walks the graph and adds to it."""

from services.registry.lineage.model import Direction

# One recursive statement whose every row is a level: the nodes that are new in it, and all that were seen so far. Plain
# recursion over nodes could not at once stop at a depth and visit a node only once, so that a graph with many ways
# between two nodes would cost as much as it has ways.
#
# A level looks for one node more than there is room for: that it found one says that the graph goes on, and after the
# last level there is no room. The last row of what is told says whether it does. Of the arcs of one node, which lead to
# as many nodes, no more are read than would do if all that was seen were among them. That limit also makes the planner
# look them up for each node instead of reading the table.
_LEVELS = """
WITH RECURSIVE start (numbers) AS MATERIALIZED (
    SELECT coalesce(array_agg(number), '{{}}') FROM lineage_names WHERE name = ANY(CAST($1 AS text[]))
), level (distance, fresh, seen, room, more) AS (
    SELECT 0, numbers, numbers, CAST($2 AS integer), false FROM start
    UNION ALL
    SELECT level.distance + 1, found.fresh, level.seen || found.fresh, level.room - cardinality(found.fresh), found.more
    FROM level
    CROSS JOIN LATERAL (
        SELECT CASE WHEN level.distance < CAST($3 AS integer) THEN level.room ELSE 0 END
    ) AS here (room)
    CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(step.node), '{{}}') AS nodes
        FROM (
            SELECT arc.node
            FROM unnest(level.fresh) AS at (node)
            CROSS JOIN LATERAL (
                SELECT {far} FROM lineage_arcs WHERE {near} = at.node LIMIT here.room + cardinality(level.seen) + 1
            ) AS arc (node)
            LIMIT CAST($4 AS bigint)
        ) AS step
    ) AS steps
    CROSS JOIN LATERAL (
        SELECT coalesce((array_agg(node))[1:here.room], '{{}}') AS fresh,
            count(*) > here.room OR cardinality(steps.nodes) = CAST($4 AS bigint) AS more
        FROM (SELECT unnest(steps.nodes) EXCEPT SELECT unnest(level.seen) LIMIT here.room + 1) AS new (node)
    ) AS found
    WHERE NOT level.more AND cardinality(level.fresh) > 0 AND level.distance <= CAST($3 AS integer)
)
"""
_TELL = """
SELECT name.number, name.name, level.distance, false AS truncated
FROM level CROSS JOIN LATERAL unnest(level.fresh) AS node (number) JOIN lineage_names AS name USING (number)
WHERE (node.number & 15) = ANY(CAST($5 AS bigint[]))
UNION ALL SELECT 0, NULL, NULL, bool_or(more) FROM level
ORDER BY distance, name
"""
_UPSTREAM, _DOWNSTREAM = _LEVELS.format(near="result", far="origin"), _LEVELS.format(near="origin", far="result")
REACH = {Direction.UPSTREAM: _UPSTREAM + _TELL, Direction.DOWNSTREAM: _DOWNSTREAM + _TELL}
# Numbers only: to count ten thousand by kind takes the database longer than to send them, and few names are told.
LEVELS = _DOWNSTREAM + "SELECT distance, fresh, more FROM level ORDER BY distance"  # noqa: S608

_EDGE = """
SELECT link.id::text, link.project_id::text, first.name AS first, second.name AS second,
    coalesce(run.name, '') AS run, link.role
FROM {links} AS link
JOIN lineage_names AS first ON first.number = link.first
JOIN lineage_names AS second ON second.number = link.second
LEFT JOIN lineage_names AS run ON run.number = link.run
"""
_AT = "SELECT number FROM lineage_names WHERE name = ANY(CAST($1 AS text[]))"
_OUT_OF = f"""
(SELECT DISTINCT link.* FROM lineage_arcs AS arc
 JOIN lineage_links AS link ON link.second = arc.result AND (link.first = arc.origin OR link.run = arc.origin)
 WHERE arc.origin IN ({_AT}))
"""  # noqa: S608
_INTO = f"""
(SELECT link.* FROM lineage_links AS link WHERE link.second IN ({_AT})
 UNION SELECT link.* FROM lineage_arcs AS arc
 JOIN lineage_links AS link ON link.second = arc.result AND link.run = arc.origin
 WHERE arc.origin IN ({_AT}))
"""  # noqa: S608
_IN_ORDER = " ORDER BY second.name, first.name, run, link.role LIMIT CAST($2 AS bigint)"
EDGES = {
    Direction.UPSTREAM: _EDGE.format(links=_INTO) + _IN_ORDER,
    Direction.DOWNSTREAM: _EDGE.format(links=_OUT_OF) + _IN_ORDER,
}

# Looked up by their second, into which few edges lead, and not by their first, which may have gone into any number. For
# the other end there is one hash table, whatever the planner thinks of how many nodes there are: ``IS TRUE`` keeps it
# from making a join of it, which in a plan for any nodes reads all of them for each, a quarter of a second for 1,000.
EDGES_AMONG = """
WITH node AS MATERIALIZED (SELECT unnest(CAST($1 AS bigint[])) AS number)
SELECT link.id::text, link.project_id::text, link.first, link.second, link.run, link.role
FROM node
CROSS JOIN LATERAL (
    SELECT * FROM lineage_links WHERE second = node.number AND (first IN (SELECT number FROM node)) IS TRUE OFFSET 0
) AS link
LIMIT CAST($2 AS bigint)
"""

NODES = """
SELECT name, kind, id::text, digest, details, revision FROM lineage_nodes WHERE name = ANY(CAST($1 AS text[]))
"""
NAMES = "SELECT number, name FROM lineage_names WHERE number = ANY(CAST($1 AS bigint[]))"

# In the order of the names: two who add the same ones then wait for each other instead of deadlocking.
ADD_NAMES = """
INSERT INTO lineage_names (number, name)
SELECT nextval('lineage_numbers') * 16 + kind, name
FROM (
    SELECT name, kind FROM unnest(CAST(:names AS text[]), CAST(:kinds AS bigint[])) AS given (name, kind)
    WHERE name NOT IN (SELECT name FROM lineage_names WHERE name = ANY(CAST(:names AS text[])))
    ORDER BY name COLLATE "C"
) AS new
ON CONFLICT DO NOTHING
"""
ADD_EDGES = """
WITH added AS (
    INSERT INTO lineage_links (second, first, run, role, id, project_id)
    SELECT second.number, first.number, coalesce(run.number, 0), given.role, given.id, given.project_id
    FROM unnest(
        CAST(:seconds AS text[]), CAST(:firsts AS text[]), CAST(:runs AS text[]), CAST(:roles AS smallint[]),
        CAST(:ids AS uuid[]), CAST(:project_ids AS uuid[])
    ) AS given (second, first, run, role, id, project_id)
    JOIN lineage_names AS first ON first.name = given.first
    JOIN lineage_names AS second ON second.name = given.second
    LEFT JOIN lineage_names AS run ON run.name = given.run
    ORDER BY second.number, first.number, run.number, given.role
    ON CONFLICT DO NOTHING
    RETURNING second, first, run
), arcs AS (
    INSERT INTO lineage_arcs (origin, result)
    SELECT DISTINCT arc.origin, arc.result
    FROM added CROSS JOIN LATERAL (VALUES (first, second), (first, run), (run, second)) AS arc (origin, result)
    WHERE arc.origin <> 0 AND arc.result <> 0 AND arc.origin <> arc.result
    ORDER BY arc.origin, arc.result
    ON CONFLICT DO NOTHING
)
SELECT count(*) FROM added
"""

RENAME = """
UPDATE lineage_names SET name = CAST(:after AS text) || substr(name, length(CAST(:before AS text)) + 1)
WHERE name >= CAST(:before AS text) AND name < CAST(:end AS text)
"""
