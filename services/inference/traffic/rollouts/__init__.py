"""Rollouts: a version takes over a deployment by steps while its objectives hold, and goes back when they do not."""
