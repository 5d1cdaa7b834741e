"""Metric points: the hot path."""
