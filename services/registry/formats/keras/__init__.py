"""Keras: what models say of themselves, as `.keras` archives and in HDF5."""
