"""Experiments; runs with tags that can be searched, more of each metric."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """See the module."""
    _metrics()


def _metrics() -> None:
    """The latest values become summaries; arrays and objects have a table of their own."""
    op.create_table(
        "metric_objects",
        *_point(),
        sa.Column("value", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "key", "step", "time_us"),
    )
    op.create_table(
        "metric_summaries",
        sa.Column("run_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("key", sa.Text(collation="C"), nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("last_step", "last_time_us")),
        sa.Column("last", sa.Double, nullable=False),
        *(sa.Column(name, sa.Double, nullable=True) for name in ("minimum", "maximum")),
        sa.Column("point_count", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "key"),
    )
    op.execute(
        """
        INSERT INTO metric_summaries (run_id, key, last_step, last_time_us, last, minimum, maximum, point_count)
        SELECT known.run_id, known.key, known.step, known.time_us, known.value,
            min(point.value) FILTER (WHERE point.value <> 'NaN'), max(point.value) FILTER (WHERE point.value <> 'NaN'),
            count(*)
        FROM latest_metrics AS known JOIN metric_points AS point USING (run_id, key)
        GROUP BY known.run_id, known.key
        """
    )
    op.drop_table("latest_metrics")


def _point() -> list[sa.Column[object]]:
    columns: list[sa.Column[object]] = [
        sa.Column("run_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("key", sa.Text(collation="C"), nullable=False),
    ]
    return columns + [sa.Column(name, sa.BigInteger, nullable=False) for name in ("step", "time_us")]
