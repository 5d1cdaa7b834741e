"""What runs made: artifacts and places elsewhere, by a path that is unique in the run."""
