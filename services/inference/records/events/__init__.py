"""Records sent on as CloudEvents."""
