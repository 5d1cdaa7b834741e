"""Attempts at jobs: placed, launched, supervised, finished."""
