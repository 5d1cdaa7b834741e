"""How Headwater is installed, started and shipped; nothing here is imported by a service."""
