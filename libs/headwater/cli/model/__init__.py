"""``headwater model``: registered models, their versions, stages and aliases."""
