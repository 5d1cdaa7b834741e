"""Runs: what executed, what it was given and what it measured."""
