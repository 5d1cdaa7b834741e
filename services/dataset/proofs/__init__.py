"""Proofs that rows are in versions, or are not."""
