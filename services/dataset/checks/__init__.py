"""Checking rows without storing them."""
