"""The chassis' own tables, as a service's first migration makes them."""

from chassis.db.lease import create_leases_table
from chassis.db.requests import create_requests_table

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create both tables."""
    create_requests_table()
    create_leases_table()
