"""How fast models are served, beside other servers of models: load from h2load, one core for the server, one for it."""
