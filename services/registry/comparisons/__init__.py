"""How versions of models differ."""
