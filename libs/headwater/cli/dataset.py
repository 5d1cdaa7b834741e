"""``headwater dataset``: push rows, look at versions."""
