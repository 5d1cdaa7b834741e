"""Answers that are kept by what was asked."""
