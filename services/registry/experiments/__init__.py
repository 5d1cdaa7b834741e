"""Experiments: runs that belong together."""
