"""Archives, read in place: members are found and read, never extracted."""
