"""Giving back the storage of chunks that nothing needs, from packs in which others are still needed."""
