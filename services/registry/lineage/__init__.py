"""Lineage: what came from what."""
