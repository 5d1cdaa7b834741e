"""The table of rollouts."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from services.inference.tables import metadata

rollouts = Table(
    "rollouts",
    metadata,
    Column("uid", Uuid(as_uuid=False), primary_key=True),
    Column("project", Text(collation="C"), nullable=False),
    Column("deployment", Text(collation="C"), nullable=False),
    Column("deployment_uid", Uuid(as_uuid=False), nullable=False),
    Column("active", Boolean, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("rollout", JSONB, nullable=False),
)
Index("rollouts_deployment", rollouts.c.project, rollouts.c.deployment, rollouts.c.uid)
# Two versions cannot take over one deployment at once, whoever starts them.
Index("rollouts_active", rollouts.c.deployment_uid, unique=True, postgresql_where=rollouts.c.active)
