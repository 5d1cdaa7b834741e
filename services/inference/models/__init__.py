"""Where model versions come from, and the local copies of their files."""
