"""Records are packed: one row for all of a project that are written together."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(collation="C"), nullable=False)


def _texts(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.ARRAY(sa.Text(collation="C")), nullable=False)


def _time(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)


def _number(name: str, *, primary_key: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, primary_key=primary_key, autoincrement=False)


def upgrade() -> None:
    """Create the table, and drop the one with a row for each record.

    Its records, those of the last hour before this, are lost; no release has written any. Numbers go on after theirs.
    """
    op.create_table(
        "record_chunks",
        _number("last_sequence", primary_key=True),
        _number("first_sequence"),
        _text("project"),
        sa.Column("first_request_id", sa.Uuid(), nullable=False),
        sa.Column("last_request_id", sa.Uuid(), nullable=False),
        _time("first_time"),
        _time("last_time"),
        _texts("deployments"),
        _texts("model_versions"),
        _texts("results"),
        sa.Column("row_count", sa.Integer, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        _number("body_bytes"),
        sa.Column("bodies", sa.LargeBinary, nullable=False),
    )
    op.create_index("record_chunks_project", "record_chunks", ["project", "last_sequence"])
    op.create_index("record_chunks_request_ids", "record_chunks", ["last_request_id", "first_request_id"])
    for column in ("content", "bodies"):
        # Not compressed, so that a part can be read alone, and because digests cannot be made smaller.
        op.execute(f"ALTER TABLE record_chunks ALTER COLUMN {column} SET STORAGE EXTERNAL")
    op.execute("CREATE SEQUENCE record_numbers")
    op.execute(
        "SELECT setval('record_numbers', greatest((SELECT max(sequence) FROM inference_records),"
        " (SELECT max(last_sequence) FROM record_files), 0) + 1, false)"
    )
    op.drop_table("inference_records")
