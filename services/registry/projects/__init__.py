"""Projects: workspaces, the scope of every other name."""
