"""What workers ask and tell."""
