"""The registry: projects, runs, artifacts, models and the lineage that ties them together."""
