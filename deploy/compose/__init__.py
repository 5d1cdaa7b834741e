"""The whole platform in containers; only the standard library, so that a machine with Python and Docker is enough."""
