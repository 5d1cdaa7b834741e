"""Nodes in PostgreSQL.

Who relies on a chunk or a node that only the tree of somebody else holds has the advisory lock of ``postgres/rows.py``
in shared mode, as who relies on a chunk has.
"""

import collections
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.dataset.errors import Collected
from services.dataset.model import Chunk, Placement, Split, Tree
from services.dataset.postgres.locks import hold_on
from services.dataset.postgres.packs import pack_name
from services.dataset.postgres.tables import UPLOAD_SPLITS
from services.dataset.trees.errors import TreeGone
from services.dataset.trees.model import Child, Leaf, Node, child_of, nodes_above
from services.dataset.trees.tables import NODES
from services.dataset.trees.walk import chunks_in

_AT_ONCE = 10_000
"""Chunks in one statement."""
_REMEMBERED_CHILDREN = 100_000

_Key = tuple[bytes, bytes]
"""A layout and a digest."""


class KnownNodes:
    """The nodes used last. They never change, so that none is ever wrong here, though it may be gone elsewhere. Where
    chunks lie, which does change, is not a part of them."""

    def __init__(self, max_children: int = _REMEMBERED_CHILDREN) -> None:
        self._max_children = max_children
        self._children = 0
        self._nodes: collections.OrderedDict[_Key, Node] = collections.OrderedDict()

    def get(self, layout: bytes, digest: bytes) -> Node | None:
        """The node if it was used lately."""
        node = self._nodes.get((layout, digest))
        if node is not None:
            self._nodes.move_to_end((layout, digest))
        return node

    def add(self, layout: bytes, nodes: Iterable[Node]) -> None:
        """Remember nodes, and forget those that were not used for longest."""
        for node in nodes:
            if (layout, node.digest) not in self._nodes:
                self._nodes[layout, node.digest] = node
                self._children += len(node.children) + 1
        while self._children > self._max_children:
            _, node = self._nodes.popitem(last=False)
            self._children -= len(node.children) + 1


class PostgresTrees:
    """See ``services.dataset.trees.store.Trees``."""

    _tx: AsyncConnection
    _known_nodes: KnownNodes

    async def record_split(self, upload_uid: str, split: Split, chunks: Sequence[Leaf]) -> None:
        """See Trees."""
        await self.record_tree(upload_uid, split, nodes_above(child_of(chunk) for chunk in chunks))

    async def record_tree(self, upload_uid: str, split: Split, nodes: Sequence[Node]) -> None:
        """See Trees."""
        await hold_on(self._tx)
        layout = split.tree.layout
        added = await self._add_nodes(layout, nodes)
        for of_chunks in (True, False):
            await self._link(upload_uid, layout, [node for node in added if (node.level == 1) is of_chunks], of_chunks)
        root = sa.select(NODES.c.id).where(NODES.c.digest == split.tree.root, NODES.c.layout == layout)
        root_id = (await self._tx.execute(root)).scalar_one_or_none()
        if root_id is None:
            raise Collected(upload=upload_uid)
        values = {"upload_uid": upload_uid, "name": split.name, "root_id": root_id}
        await self._tx.execute(UPLOAD_SPLITS.insert().values(**values, arrow_schema=split.arrow_schema))

    async def get_nodes(self, layout: bytes, digests: Sequence[bytes]) -> Mapping[bytes, Node]:
        """See Trees."""
        known = {digest: self._known_nodes.get(layout, digest) for digest in digests}
        found = {digest: node for digest, node in known.items() if node is not None}
        if unknown := [digest for digest, node in known.items() if node is None]:
            read = await self._read_nodes(layout, unknown)
            self._known_nodes.add(layout, read.values())
            found |= read
        return found

    async def get_chunks(
        self, layout: bytes, digests: Sequence[bytes], *, with_statistics: bool = False
    ) -> Mapping[bytes, Chunk]:
        """See Trees."""
        found: dict[bytes, Chunk] = {}
        unique = list(dict.fromkeys(digests))
        for start in range(0, len(unique), _AT_ONCE):
            values = {"layout": layout, "digests": unique[start : start + _AT_ONCE], "with_statistics": with_statistics}
            found |= {bytes(row.digest): _chunk(row) for row in await self._tx.execute(sa.text(_CHUNKS), values)}
        if len(found) < len(unique):
            raise TreeGone()
        return found

    async def list_chunks(
        self, tree: Tree, first_row: int, end_row: int, limit: int | None, *, with_statistics: bool = False
    ) -> Sequence[Chunk]:
        """See Trees."""
        places = await chunks_in(self, tree, first_row, end_row, limit)
        digests = [place.child.digest for place in places]
        chunks = await self.get_chunks(tree.layout, digests, with_statistics=with_statistics)
        return [chunks[place.child.digest].at(place.first_row) for place in places]

    async def _add_nodes(self, layout: bytes, nodes: Sequence[Node]) -> list[Node]:
        """Add the nodes that are not there; returns them."""
        given = {node.digest: node for node in nodes}
        values = {
            "layout": layout,
            "digests": list(given),
            "levels": [node.level for node in given.values()],
            "row_counts": [node.row_count for node in given.values()],
            "sizes": [node.size_bytes for node in given.values()],
            "chunk_counts": [node.chunk_count for node in given.values()],
        }
        return [given[bytes(row.digest)] for row in await self._tx.execute(sa.text(_ADD_NODES), values)]

    async def _link(self, upload_uid: str, layout: bytes, nodes: Sequence[Node], of_chunks: bool) -> None:
        """Put the children of new nodes below them; they are stored by now, or Collected."""
        links = [link for node in nodes for link in _links(node)]
        statement = sa.text(_LINK_CHUNKS if of_chunks else _LINK_NODES)
        for start in range(0, len(links), _AT_ONCE):
            parents, first_rows, children = zip(*links[start : start + _AT_ONCE], strict=True)
            values = {"parents": list(parents), "first_rows": list(first_rows), "children": list(children)}
            linked = await self._tx.execute(statement, {"layout": layout, **values})
            if linked.rowcount != len(parents):
                raise Collected(upload=upload_uid)

    async def _read_nodes(self, layout: bytes, digests: Sequence[bytes]) -> dict[bytes, Node]:
        children: dict[bytes, list[Child]] = {}
        levels: dict[bytes, int] = {}
        rows = await self._tx.execute(sa.text(_NODES), {"layout": layout, "digests": list(digests)})
        for row in rows:
            digest = bytes(row.node)
            levels[digest] = row.level
            below = children.setdefault(digest, [])
            if row.digest is not None:
                below.append(Child(bytes(row.digest), row.row_count, row.size_bytes, row.chunk_count))
        if len(levels) < len(digests):
            raise TreeGone()
        return {digest: Node(digest, level, tuple(children[digest])) for digest, level in levels.items()}


def _links(node: Node) -> Iterable[tuple[bytes, int, bytes]]:
    row = 0
    for child in node.children:
        yield node.digest, row, child.digest
        row += child.row_count


def _chunk(row: Any) -> Chunk:
    return Chunk(
        digest=bytes(row.digest),
        first_row=0,
        row_count=row.row_count,
        size_bytes=row.size_bytes,
        placement=Placement(pack_name(bytes(row.pack)), row.block, row.block_row),
        ends_naturally=row.ends_naturally,
        first_row_bytes=row.first_row_bytes,
        statistics=bytes(row.statistics),
    )


# In one order in all transactions, so that two that add the same nodes wait for each other in one direction only.
_ADD_NODES = """
INSERT INTO nodes (digest, layout, level, row_count, size_bytes, chunk_count)
SELECT digest, CAST(:layout AS bytea), level, row_count, size_bytes, chunk_count
FROM unnest(
    CAST(:digests AS bytea[]), CAST(:levels AS smallint[]),
    CAST(:row_counts AS bigint[]), CAST(:sizes AS bigint[]), CAST(:chunk_counts AS bigint[])
) AS given (digest, level, row_count, size_bytes, chunk_count)
ORDER BY digest
ON CONFLICT (digest, layout) DO NOTHING
RETURNING digest
"""

_LINK = """
INSERT INTO node_children (node_id, first_row, {column})
SELECT parents.id, given.first_row, children.id
FROM unnest(CAST(:parents AS bytea[]), CAST(:first_rows AS bigint[]), CAST(:children AS bytea[]))
    AS given (parent, first_row, child)
JOIN nodes AS parents ON parents.digest = given.parent AND parents.layout = :layout
JOIN {table} AS children ON children.digest = given.child AND children.layout = :layout
"""
_LINK_CHUNKS = _LINK.format(column="chunk_id", table="chunks")
_LINK_NODES = _LINK.format(column="child_id", table="nodes")

_NODES = """
SELECT nodes.digest AS node, nodes.level, coalesce(inner_nodes.digest, chunks.digest) AS digest,
       coalesce(inner_nodes.row_count, chunks.row_count) AS row_count,
       coalesce(inner_nodes.size_bytes, chunks.size_bytes) AS size_bytes,
       coalesce(inner_nodes.chunk_count, 1) AS chunk_count
FROM nodes
LEFT JOIN node_children ON node_children.node_id = nodes.id
LEFT JOIN nodes AS inner_nodes ON inner_nodes.id = node_children.child_id
LEFT JOIN chunks ON chunks.id = node_children.chunk_id
WHERE nodes.layout = :layout AND nodes.digest = ANY(CAST(:digests AS bytea[]))
ORDER BY nodes.id, node_children.first_row
"""

_CHUNKS = """
SELECT chunks.digest, chunks.row_count, chunks.size_bytes, chunks.block, chunks.block_row, chunks.ends_naturally,
       chunks.first_row_bytes, CASE WHEN :with_statistics THEN chunks.statistics ELSE '' END AS statistics,
       packs.digest AS pack
FROM chunks JOIN packs ON packs.id = chunks.pack_id
WHERE chunks.layout = :layout AND chunks.digest = ANY(CAST(:digests AS bytea[]))
"""
