"""Step types: what a pipeline can do to rows."""
