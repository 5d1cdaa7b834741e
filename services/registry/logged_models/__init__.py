"""Logged models: what runs make before anything of it is registered as a version of a model."""
