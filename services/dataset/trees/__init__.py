"""The trees of splits: nodes that commits share, and what is made of them: changes, differences, merges."""
