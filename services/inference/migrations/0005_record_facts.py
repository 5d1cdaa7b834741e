"""More of each request, files of older records, and what is said of them later."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"

_TEXTS = {
    "result": "OK",
    "inputs": "[]",
    "outputs": "[]",
    "preprocessing_digest": "",
    "part_of": "",
    "variant": "",
    "body_reason": "",
    "redacted": "[]",
}


def _text(name: str, default: str | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.Text(collation="C"), nullable=False, server_default=default)


def _time(name: str, default: sa.ColumnElement[Any] | None = None) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=default)


def _number(name: str, default: str | None = None) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default=default)


def upgrade() -> None:
    """Add columns that the last release leaves at their defaults, and tables."""
    for name, default in _TEXTS.items():
        op.add_column("inference_records", _text(name, default))
    op.add_column("inference_records", _number("request_bytes", "0"))
    op.add_column("inference_records", _number("response_bytes", "0"))
    op.add_column("inference_records", sa.Column("is_final", sa.Boolean, nullable=False, server_default="true"))
    for body in ("request_body", "response_body"):
        op.add_column("inference_records", sa.Column(body, sa.LargeBinary))
        # Out of the way of the other columns; compressed where they are kept for long, in the files.
        op.execute(f"ALTER TABLE inference_records ALTER COLUMN {body} SET STORAGE EXTERNAL")
    op.create_index("inference_records_sequence", "inference_records", ["sequence"])
    op.create_table(
        "record_files",
        sa.Column("digest", sa.Text(collation="C"), primary_key=True),
        _text("kind"),
        _text("state"),
        _number("first_sequence"),
        _number("last_sequence"),
        sa.Column("first_request_id", sa.Uuid(), nullable=False),
        sa.Column("last_request_id", sa.Uuid(), nullable=False),
        _time("first_time"),
        _time("last_time"),
        _number("row_count"),
        _number("size_bytes"),
        _time("change_time", sa.func.now()),
    )
    op.create_index("record_files_sequence", "record_files", ["state", "kind", "last_sequence"])
    op.create_table("record_cursors", sa.Column("name", sa.Text(collation="C"), primary_key=True), _number("sequence"))
    op.create_table(
        "inference_feedback",
        sa.Column("request_id", sa.Uuid(), primary_key=True),
        sa.Column("feedback_id", sa.Text(collation="C"), primary_key=True),
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), nullable=False),
        _text("project"),
        sa.Column("ground_truth", JSONB),
        sa.Column("score", sa.Double),
        sa.Column("actions", JSONB, nullable=False),
        sa.Column("explanation", JSONB, nullable=False),
        _text("content_digest"),
        _text("created_by"),
        _time("create_time", sa.func.clock_timestamp()),
    )
    op.create_index("inference_feedback_time", "inference_feedback", ["create_time"])
