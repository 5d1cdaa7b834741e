"""Searches in PostgreSQL: conditions and orders as SQL with bind parameters only."""
