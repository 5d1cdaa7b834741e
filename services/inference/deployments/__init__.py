"""Deployments: names that are served, and what is loaded for them."""
