"""``headwater deployment``: what is served, and which of its versions answers."""
