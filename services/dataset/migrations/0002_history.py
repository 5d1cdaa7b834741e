"""Commits, branches and tags; versions become names of commits.

Each version of 0001 becomes a commit, whose parent is the version before it, and ``main`` points at the newest.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from services.dataset.history.model import commit_id

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_NOW = sa.text("now()")


def upgrade() -> None:
    """Create the history, move what versions hold into it, and let versions point there."""
    _create_commits()
    _create_pointers()
    _extend_datasets_and_uploads()
    op.add_column("versions", sa.Column("commit_id", sa.LargeBinary))
    _move_versions()
    _reshape_versions()


def _time(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=_NOW)


def _dataset_uid(**options: Any) -> sa.Column[str]:
    return sa.Column("dataset_uid", sa.Text, sa.ForeignKey("datasets.uid"), nullable=False, **options)


def _commit(name: str, *args: Any, **options: Any) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary, sa.ForeignKey("commits.id", *args), **options)


def _create_commits() -> None:
    op.create_table(
        "commits",
        sa.Column("id", sa.LargeBinary, primary_key=True),
        # Greater than the numbers of all ancestors: the order of every walk through the history.
        sa.Column("number", sa.BigInteger, sa.Identity(), nullable=False, unique=True),
        _dataset_uid(),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("definition", postgresql.JSONB),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("derived_from", postgresql.ARRAY(sa.Text), nullable=False),
        sa.Column("source_file_count", sa.BigInteger, nullable=False),
        sa.Column("source_digest", sa.LargeBinary, nullable=False),
        sa.Column("upload_uid", sa.Text, sa.ForeignKey("uploads.uid"), index=True),
        _time("create_time"),
    )
    # By the first digits of an id.
    op.create_index("commits_of_dataset", "commits", ["dataset_uid", "id"])
    op.create_table(
        "commit_parents",
        _commit("commit_id", primary_key=True),
        sa.Column("position", sa.SmallInteger, primary_key=True),
        _commit("parent_id", nullable=False, index=True),
    )
    op.create_table(
        "commit_splits",
        _commit("commit_id", primary_key=True),
        sa.Column("name", sa.Text(collation="C"), primary_key=True),
        sa.Column("tree_id", sa.BigInteger, sa.ForeignKey("trees.id"), nullable=False, index=True),
        sa.Column("arrow_schema", sa.LargeBinary, nullable=False),
    )
    # Commits that lost a name or a child, and when: only they and what is before them can have become unreachable.
    op.create_table(
        "loose_commits",
        _commit("commit_id", primary_key=True),
        _time("since"),
    )
    op.create_index("loose_commits_since", "loose_commits", ["since"])


def _create_pointers() -> None:
    op.create_table(
        "branches",
        _dataset_uid(primary_key=True),
        sa.Column("branch", sa.Text(collation="C"), primary_key=True),
        # Unique whatever the case, as the names of datasets are.
        sa.Column("folded", sa.Text(collation="C"), nullable=False),
        _commit("head", nullable=False, index=True),
        sa.Column("revision", sa.BigInteger, nullable=False, server_default="1"),
        sa.Column("created_by", sa.Text, nullable=False),
        _time("create_time"),
        _time("update_time"),
        sa.UniqueConstraint("dataset_uid", "folded", name="branches_name"),
    )
    op.create_table(
        "tags",
        _dataset_uid(primary_key=True),
        sa.Column("tag", sa.Text(collation="C"), primary_key=True),
        sa.Column("folded", sa.Text(collation="C"), nullable=False),
        _commit("target", nullable=False, index=True),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        _time("create_time"),
        sa.UniqueConstraint("dataset_uid", "folded", name="tags_name"),
    )


def _extend_datasets_and_uploads() -> None:
    op.add_column("datasets", _texts("key_columns"))
    op.add_column("datasets", sa.Column("tags", postgresql.JSONB, nullable=False, server_default="{}"))
    op.add_column("datasets", sa.Column("hidden", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("uploads", sa.Column("branch", sa.Text, nullable=False, server_default="main"))
    # A commit that was dropped is no base any more; the collector leaves the bases of open uploads alone.
    op.add_column("uploads", sa.Column("base_commit", sa.LargeBinary))
    op.create_foreign_key("uploads_base_commit", "uploads", "commits", ["base_commit"], ["id"], ondelete="SET NULL")
    op.create_index("uploads_base_commit", "uploads", ["base_commit"])
    op.add_column("uploads", sa.Column("inherit", sa.Boolean, nullable=False, server_default=sa.false()))


def _texts(name: str) -> sa.Column[Any]:
    return sa.Column(name, postgresql.ARRAY(sa.Text), nullable=False, server_default="{}")


def _move_versions() -> None:
    connection = op.get_bind()
    versions = connection.execute(sa.text(_VERSIONS)).all()
    heads: dict[str, Any] = {}
    for version in versions:
        before = heads.get(version.dataset_uid)
        id_ = commit_id(
            dataset_uid=version.dataset_uid,
            digest=bytes(version.digest),
            definition=None,
            source_digest=bytes(version.source_digest),
            parents=[before] if before else [],
            author=version.author,
            message=version.message,
            derived_from=version.derived_from,
            create_time=version.create_time,
        )
        connection.execute(sa.text(_ADD_COMMIT), {"id": id_, "version": version.uid})
        if before:
            connection.execute(sa.text(_ADD_PARENT), {"id": id_, "parent": before})
        heads[version.dataset_uid] = id_
    for dataset_uid, head in heads.items():
        connection.execute(sa.text(_ADD_MAIN), {"dataset": dataset_uid, "head": head})
    connection.execute(sa.text(_MOVE_SPLITS))
    # Uploads that are under way go on from where their dataset is.
    connection.execute(sa.text(_SET_BASES))


def _reshape_versions() -> None:
    op.drop_table("version_splits")
    moved = ("digest", "message", "author", "derived_from", "source_file_count", "source_digest", "upload_uid")
    for column in moved:
        op.drop_column("versions", column)
    op.alter_column("versions", "commit_id", nullable=False)
    op.create_foreign_key("versions_commit_id", "versions", "commits", ["commit_id"], ["id"])
    op.create_unique_constraint("versions_commit", "versions", ["commit_id"])
    op.add_column("versions", sa.Column("state", sa.Text, nullable=False, server_default="active"))
    for text in ("state_message", "description", "source", "citation", "license"):
        op.add_column("versions", sa.Column(text, sa.Text, nullable=False, server_default=""))
    op.add_column(
        "versions", sa.Column("image_size", postgresql.ARRAY(sa.Integer), nullable=False, server_default="{}")
    )
    op.add_column("versions", sa.Column("num_classes", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("versions", sa.Column("revision", sa.BigInteger, nullable=False, server_default="1"))


_VERSIONS = """
SELECT uid, dataset_uid, digest, message, author, derived_from, source_digest, create_time
FROM versions ORDER BY dataset_uid, major, minor, patch
"""

_ADD_COMMIT = """
WITH named AS (UPDATE versions SET commit_id = :id WHERE uid = :version RETURNING *)
INSERT INTO commits (id, dataset_uid, digest, message, author, derived_from, source_file_count, source_digest,
                     upload_uid, create_time)
SELECT commit_id, dataset_uid, digest, message, author, derived_from, source_file_count, source_digest,
       upload_uid, create_time
FROM named
"""

_ADD_PARENT = "INSERT INTO commit_parents (commit_id, position, parent_id) VALUES (:id, 0, :parent)"

_ADD_MAIN = """
INSERT INTO branches (dataset_uid, branch, folded, head, created_by, create_time, update_time)
SELECT dataset_uid, 'main', 'main', id, author, create_time, create_time
FROM commits WHERE id = :head AND dataset_uid = :dataset
"""

_MOVE_SPLITS = """
INSERT INTO commit_splits (commit_id, name, tree_id, arrow_schema)
SELECT versions.commit_id, version_splits.name, version_splits.tree_id, version_splits.arrow_schema
FROM version_splits JOIN versions ON versions.uid = version_splits.version_uid
"""

_SET_BASES = """
UPDATE uploads SET base_commit = branches.head FROM branches
WHERE branches.dataset_uid = uploads.dataset_uid AND uploads.state = 'open'
"""
