"""Conditions on rows, as users write them: parsed, checked against a schema, and turned into what Arrow evaluates."""

from services.dataset.filters.errors import InvalidFilter
from services.dataset.filters.filter import Filter

__all__ = ["Filter", "InvalidFilter"]
