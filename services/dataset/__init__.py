"""The dataset service: datasets, their immutable versions, and the bytes of their rows."""
