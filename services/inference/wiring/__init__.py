"""How the service is put together, part by part; ``services.inference.__main__`` puts the parts together."""
