"""Artifacts: immutable bytes by digest."""
