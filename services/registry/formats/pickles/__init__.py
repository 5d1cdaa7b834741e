"""Pickles, read without executing or importing anything: what one would build, and all that it would call."""

from services.registry.formats.pickles.plain import fits, read

__all__ = ["fits", "read"]
