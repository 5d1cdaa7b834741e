"""Pages and resources about datasets."""
