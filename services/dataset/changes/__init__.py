"""What differs between commits, and bringing changes from one into another."""
