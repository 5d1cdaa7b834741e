"""Step results by content, in two tiers."""
