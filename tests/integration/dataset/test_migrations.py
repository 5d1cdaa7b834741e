"""A database of the first release keeps its datasets, versions and rows through all migrations."""

import hashlib
import shutil
from pathlib import Path

import sqlalchemy

from chassis.db.engine import Database
from chassis.db.migrate import migrate
from headwater import tree
from headwater.names import BranchName, DatasetName, UploadName
from headwater.tree import digest_text
from services.dataset.compaction.store import SparsePage
from services.dataset.history.graph import newest_first
from services.dataset.history.model import VersionState, commit_id
from services.dataset.model import SemVer, SourceFile
from services.dataset.postgres import MIGRATIONS, SCHEMA, PostgresStore

DIGITS = DatasetName("default", "digits")
LAYOUT = b"l" * 32


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def root_of(*chunks: str) -> bytes:
    return tree.split_root(tree.Node(digest(chunk), 10) for chunk in chunks).digest


async def test_what_the_first_release_has_stored_is_there_after_all_migrations(
    empty_postgres_url: str, tmp_path: Path
) -> None:
    """Promise 17. Each version becomes a commit on ``main``; each split keeps its root and its chunks."""
    shutil.copy(MIGRATIONS / "0001_datasets.py", tmp_path)
    await migrate(empty_postgres_url, SCHEMA, tmp_path)
    database = Database(empty_postgres_url, SCHEMA)
    try:
        async with database.transaction() as connection:
            for statement in _ROWS:
                await connection.execute(sqlalchemy.text(statement), _VALUES)
        await migrate(empty_postgres_url, SCHEMA, MIGRATIONS)
        await _check(PostgresStore(database))
    finally:
        await database.close()


async def _check(store: PostgresStore) -> None:
    async with store.transaction() as tx:
        dataset = await tx.get_dataset(DIGITS)
        assert (dataset.latest, dataset.hidden, dataset.key_columns) == (SemVer(1, 1, 0), False, ())
        newest, oldest = await tx.list_versions(DIGITS, None, 10)
        assert (newest.version, oldest.version) == (SemVer(1, 1, 0), SemVer(1, 0, 0))
        assert (oldest.uid, newest.uid, newest.parent) == ("v1", "v2", SemVer(1, 0, 0))
        assert (oldest.state, oldest.revision) == (VersionState.ACTIVE, 1)
        for version, message in ((oldest, "first"), (newest, "second")):
            commit = version.commit
            assert (commit.message, commit.author, commit.digest) == (message, "ann", digest(message))
            assert commit.derived_from == ("projects/default/pipelines/p/versions/1",)
            assert commit.id == commit_id(
                dataset_uid="d1",
                digest=commit.digest,
                definition=None,
                source_digest=commit.source_digest,
                parents=commit.parents,
                author=commit.author,
                message=commit.message,
                derived_from=commit.derived_from,
                create_time=commit.create_time,
            )
        assert (oldest.commit.source_file_count, oldest.commit.source_digest) == (1, digest("files"))
        assert await tx.list_source_files(oldest.commit.upload_uid, "", 10) == [SourceFile("a.png", digest("f"), 7)]
        assert (await tx.get_branch(BranchName("default", "digits", "main"))).head == newest.commit.id
        walked, _ = await newest_first(tx, [newest.commit.id], 10)
        assert [link.id for link in walked] == [newest.commit.id, oldest.commit.id]
        (train,) = oldest.splits
        assert (train.name, train.tree.root, train.tree.row_count) == ("train", root_of("a"), 10)
        assert [split.name for split in newest.splits] == ["test", "train"]
        (_, train) = newest.splits
        assert (train.tree.root, train.tree.chunk_count, train.arrow_schema) == (root_of("a", "b"), 2, b"schema")
        chunks = await tx.list_chunks(train.tree, 0, 20, None)
        assert [(chunk.digest, chunk.first_row) for chunk in chunks] == [(digest("a"), 0), (digest("b"), 10)]
        upload = await tx.get_upload(UploadName("default", "digits", "u3"))
        assert (upload.target.branch, upload.target.base) == ("main", newest.commit.id)
        assert [split.tree.root for split in upload.splits] == [root_of("a")]
        # Of the pack it is not known how much was laid into it: what is found in it is all, and all of it is needed.
        assert await tx.sparse_packs(0, 10, 0, 0.9) == SparsePage((), 1)
        assert [found.pack for found in (await tx.sparse_packs(0, 10, 0, 1.0)).packs] == [digest_text(digest("pack"))]
        assert await tx.condemned_packs(10) == []


_VALUES = {
    "first": digest("first"),
    "second": digest("second"),
    "files": digest("files"),
    "file": digest("f"),
    "pack": digest("pack"),
    "layout": LAYOUT,
    "a": digest("a"),
    "b": digest("b"),
    "root_a": root_of("a"),
    "root_ab": root_of("a", "b"),
}

_ROWS = (
    """INSERT INTO datasets (uid, project, dataset, folded, display_name, description, latest, created_by)
       VALUES ('d1', 'default', 'digits', 'digits', '', '', 'v1.1.0', 'ann'),
              ('d2', 'default', 'empty', 'empty', '', '', '', 'ann')""",
    """INSERT INTO uploads (uid, dataset_uid, state, created_by, expire_time)
       SELECT uid, 'd1', state, 'ann', now() + interval '1 hour'
       FROM (VALUES ('u1', 'committed'), ('u2', 'committed'), ('u3', 'open')) AS given (uid, state)""",
    "INSERT INTO source_files (upload_uid, path, digest, size_bytes) VALUES ('u1', 'a.png', :file, 7)",
    """INSERT INTO versions (uid, dataset_uid, major, minor, patch, digest, parent, message, author, derived_from,
                             source_file_count, source_digest, upload_uid)
       SELECT uid, 'd1', 1, minor, 0, digest, parent, message, 'ann', ARRAY['projects/default/pipelines/p/versions/1'],
              files, source, upload
       FROM (VALUES ('v2', 1, CAST(:second AS bytea), 'v1.0.0', 'second', 0, CAST('' AS bytea), 'u2'),
                    ('v1', 0, CAST(:first AS bytea), '', 'first', 1, CAST(:files AS bytea), 'u1'))
           AS given (uid, minor, digest, parent, message, files, source, upload)""",
    "INSERT INTO packs (digest, size_bytes, state) VALUES (:pack, 1000, 'stored')",
    """INSERT INTO chunks (digest, layout, row_count, size_bytes, pack_id, block, block_row)
       SELECT digest, :layout, 10, 100, (SELECT id FROM packs), 0, block_row
       FROM (VALUES (CAST(:a AS bytea), 0), (CAST(:b AS bytea), 10)) AS given (digest, block_row)""",
    """INSERT INTO trees (root, layout, row_count, size_bytes, chunk_count)
       VALUES (:root_a, :layout, 10, 100, 1), (:root_ab, :layout, 20, 200, 2)""",
    """INSERT INTO tree_chunks (tree_id, first_row, chunk_id)
       SELECT trees.id, first_row, chunks.id
       FROM (VALUES (CAST(:root_a AS bytea), 0, CAST(:a AS bytea)), (CAST(:root_ab AS bytea), 0, CAST(:a AS bytea)),
                    (CAST(:root_ab AS bytea), 10, CAST(:b AS bytea))) AS given (root, first_row, digest)
       JOIN trees ON trees.root = given.root JOIN chunks ON chunks.digest = given.digest""",
    """INSERT INTO version_splits (version_uid, name, tree_id, arrow_schema)
       SELECT version, name, trees.id, convert_to('schema', 'UTF8')
       FROM (VALUES ('v1', 'train', CAST(:root_a AS bytea)), ('v2', 'test', CAST(:root_a AS bytea)),
                    ('v2', 'train', CAST(:root_ab AS bytea))) AS given (version, name, root)
       JOIN trees ON trees.root = given.root""",
    """INSERT INTO upload_splits (upload_uid, name, tree_id, arrow_schema)
       SELECT 'u3', 'train', id, convert_to('schema', 'UTF8') FROM trees WHERE root = :root_a""",
)
