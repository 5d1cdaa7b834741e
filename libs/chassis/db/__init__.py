"""PostgreSQL: engine, migrations, the replay table and leases."""
