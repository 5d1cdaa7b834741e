"""The preprocessing service: versioned pipelines, the jobs that apply them, and the cache of step results."""
