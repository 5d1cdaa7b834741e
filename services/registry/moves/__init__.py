"""Stages and aliases: which version they point to, who moved them, when and why, and what they pointed to at a time."""
