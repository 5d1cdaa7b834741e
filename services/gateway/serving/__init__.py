"""The web's pages about what is served, what went wrong with it, and what it was asked."""
