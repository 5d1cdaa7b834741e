"""``headwater run``: see ``app``."""
