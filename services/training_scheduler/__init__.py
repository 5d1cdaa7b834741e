"""The training scheduler."""
