"""Conditions on rows, as users write them: parsed, checked against a schema, and turned into what Arrow evaluates."""

from chassis.filters.errors import InvalidFilter
from chassis.filters.filter import Filter

__all__ = ["Filter", "InvalidFilter"]
