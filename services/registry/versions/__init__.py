"""Versions of models: registering, stages, history."""
