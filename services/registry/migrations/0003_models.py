"""Models: states, tags, the history of aliases, evidence of moves."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Every new column has a default, so that the release before can go on adding models and moves."""
    op.add_column("models", sa.Column("update_time", sa.DateTime(timezone=True), nullable=False, server_default=_NOW))
    op.execute("UPDATE models SET update_time = create_time")
    op.add_column("models", sa.Column("state", sa.SmallInteger, nullable=False, server_default="1"))
    op.add_column("models", _text("replacement", server_default=""))
    op.add_column("models", _text("archived_name", server_default=""))
    op.add_column("models", sa.Column("tags", JSONB, nullable=False, server_default="{}"))
    op.create_index("models_replacement", "models", ["replacement"], postgresql_where=sa.text("replacement <> ''"))
    op.create_index(
        "model_versions_replacement",
        "model_versions",
        ["replacement"],
        postgresql_where=sa.text("replacement <> ''"),
    )
    op.add_column("stage_transitions", sa.Column("evidence", JSONB, nullable=False, server_default="[]"))
    op.create_index("stage_transitions_time", "stage_transitions", ["model_id", "time"])
    op.create_table(
        "model_alias_changes",
        sa.Column("model_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), nullable=False),
        _text("alias"),
        sa.Column("from_version", sa.Integer, nullable=False),
        sa.Column("to_version", sa.Integer, nullable=False),
        _text("actor"),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        _text("comment"),
        sa.Column("evidence", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("model_id", "sequence"),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"]),
    )
    op.create_index("model_alias_changes_time", "model_alias_changes", ["model_id", "alias", "time"])
    # What aliases point to already is where their history begins.
    op.execute(
        "INSERT INTO model_alias_changes (model_id, alias, from_version, to_version, actor, time, comment, evidence) "
        "SELECT model_id, alias, 0, version, '', now(), 'pointed here before its moves were noted', '[]' "
        "FROM model_aliases ORDER BY model_id, alias"
    )


_NOW = sa.func.now()


def _text(name: str, **options: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(collation="C"), nullable=False, **options)  # type: ignore[arg-type]
