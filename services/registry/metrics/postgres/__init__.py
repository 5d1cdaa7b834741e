"""What runs measure, in PostgreSQL: recording it is the hot path, reading it is not."""
