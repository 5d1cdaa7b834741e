"""Stages and aliases in PostgreSQL: their histories, and the quick way to what they point to."""
