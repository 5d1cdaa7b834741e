"""Jobs that apply a pipeline version to a dataset version."""
