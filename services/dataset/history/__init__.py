"""Commits, versions, branches and tags."""
