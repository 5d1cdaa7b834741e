"""Uploads: bytes that come in several calls, from several processes, and after a failure."""
