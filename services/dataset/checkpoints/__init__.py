"""Checkpoints: versions at one point in time, with a profile and perhaps a copy of their rows."""
