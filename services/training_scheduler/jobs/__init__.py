"""Training jobs: created, listed, watched, cancelled."""
