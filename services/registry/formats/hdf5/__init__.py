"""HDF5, read strictly and by range: objects, their attributes, types, shapes and places; no data."""
