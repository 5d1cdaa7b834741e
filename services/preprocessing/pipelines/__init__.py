"""Pipelines: documents, versions, digests."""
