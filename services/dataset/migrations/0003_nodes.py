"""Each node of a tree is kept once, so that trees share what they have in common.

The trees of before, each a list of its chunks, become such nodes.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from headwater import tree
from headwater.tree.merkle import groups, split_node

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_SPLITS = ("upload_splits", "commit_splits")


def upgrade() -> None:
    """Create the nodes, make those of the trees that there are, and let splits refer to their roots."""
    _create_nodes()
    for table in _SPLITS:
        op.add_column(table, sa.Column("root_id", sa.BigInteger))
    connection = op.get_bind()
    for found in connection.execute(sa.text("SELECT id, layout FROM trees ORDER BY id")).all():
        root = _add_tree(connection, found.id, bytes(found.layout))
        for table in _SPLITS:
            statement = f"UPDATE {table} SET root_id = :root WHERE tree_id = :tree"  # noqa: S608
            connection.execute(sa.text(statement), {"root": root, "tree": found.id})
    for table in _SPLITS:
        op.drop_column(table, "tree_id")
        op.alter_column(table, "root_id", nullable=False)
        op.create_foreign_key(f"{table}_root", table, "nodes", ["root_id"], ["id"])
        op.create_index(f"{table}_root", table, ["root_id"])
    op.drop_table("tree_chunks")
    op.drop_table("trees")


def _create_nodes() -> None:
    op.create_table(
        "nodes",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("layout", sa.LargeBinary, nullable=False),
        sa.Column("level", sa.SmallInteger, nullable=False),
        sa.Column("row_count", sa.BigInteger, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("chunk_count", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("digest", "layout", name="nodes_digest"),
    )
    op.create_table(
        "node_children",
        sa.Column("node_id", sa.BigInteger, sa.ForeignKey("nodes.id", ondelete="CASCADE"), primary_key=True),
        # Within the node, so that it does not depend on where in a split the node is.
        sa.Column("first_row", sa.BigInteger, primary_key=True),
        sa.Column("child_id", sa.BigInteger, sa.ForeignKey("nodes.id"), index=True),
        sa.Column("chunk_id", sa.BigInteger, sa.ForeignKey("chunks.id"), index=True),
        sa.CheckConstraint("num_nonnulls(child_id, chunk_id) = 1", name="node_children_one"),
    )


def _add_tree(connection: Any, tree_id: int, layout: bytes) -> int:
    """Make the nodes of a tree of before; returns the root's id."""
    rows = connection.execute(sa.text(_CHUNKS), {"tree": tree_id}).all()
    chunks = [tree.Node(bytes(row.digest), row.row_count) for row in rows]
    ids = [row.id for row in rows]
    sizes = [(row.size_bytes, 1) for row in rows]
    for level, nodes in enumerate(_levels(chunks), 1):
        start, made, sums = 0, [], []
        for children in nodes:
            end = start + len(children)
            size_bytes, chunk_count = (sum(column) for column in zip(*sizes[start:end] or [(0, 0)], strict=True))
            node = split_node(children)
            facts = {"level": level, "rows": node.row_count, "size": size_bytes, "chunks": chunk_count}
            key = {"digest": node.digest, "layout": layout}
            added = connection.execute(sa.text(_ADD), key | facts).scalar_one_or_none()
            if added is None:  # another tree has it too, with all its children
                added = connection.execute(sa.text(_FIND), key).scalar_one()
            else:
                _link(connection, added, children, ids[start:end], "chunk_id" if level == 1 else "child_id")
            made.append(added)
            sums.append((size_bytes, chunk_count))
            start = end
        ids, sizes = made, sums
    return int(ids[0])


def _levels(chunks: list[tree.Node]) -> list[list[Any]]:
    """The children of each node, level by level."""
    return [list(groups(level)) for level in tree.split_levels(chunks)[:-1]]


def _link(connection: Any, node: int, children: Any, ids: list[int], column: str) -> None:
    row = 0
    for child, id_ in zip(children, ids, strict=True):
        statement = f"INSERT INTO node_children (node_id, first_row, {column}) VALUES (:node, :row, :id)"  # noqa: S608
        connection.execute(sa.text(statement), {"node": node, "row": row, "id": id_})
        row += child.row_count


_CHUNKS = """
SELECT chunks.id, chunks.digest, chunks.row_count, chunks.size_bytes
FROM tree_chunks JOIN chunks ON chunks.id = tree_chunks.chunk_id
WHERE tree_chunks.tree_id = :tree ORDER BY tree_chunks.first_row
"""

_ADD = """
INSERT INTO nodes (digest, layout, level, row_count, size_bytes, chunk_count)
VALUES (:digest, :layout, :level, :rows, :size, :chunks)
ON CONFLICT (digest, layout) DO NOTHING RETURNING id
"""

_FIND = "SELECT id FROM nodes WHERE digest = :digest AND layout = :layout"
