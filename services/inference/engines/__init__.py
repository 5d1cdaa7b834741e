"""What computes: one small interface, and the engines behind it."""
