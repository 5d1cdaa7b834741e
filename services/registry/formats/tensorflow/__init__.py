"""TensorFlow: SavedModel's graph, and the index of its variables."""
