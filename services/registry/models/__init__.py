"""Models, their versions, stages, aliases and objectives."""
