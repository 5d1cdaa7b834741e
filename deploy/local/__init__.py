"""The whole platform on one machine: PostgreSQL and Valkey from wheels, and the six services as processes."""
