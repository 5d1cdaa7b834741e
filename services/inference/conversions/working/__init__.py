"""What a conversion does to a file, in a confined process of its own (see services.inference.engines.worker)."""
