"""Incidents: what went wrong with something served, what was done about it, and the evidence of both."""
