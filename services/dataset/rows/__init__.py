"""The rows themselves: how they are laid out, packed, put, mapped and read."""
