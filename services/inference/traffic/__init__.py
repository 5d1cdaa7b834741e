"""Traffic: which of a deployment's versions answers a question, and which others get a copy of it."""
