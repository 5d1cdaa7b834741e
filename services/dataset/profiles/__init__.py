"""Profiles: schema and statistics of a version, or of a view of it, at one point in time."""
