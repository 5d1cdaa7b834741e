"""Checkpoints: saved, resumed from, collected."""
