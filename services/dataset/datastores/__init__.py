"""Datastores: places outside Headwater that rows are read from."""
