"""Dynamic batching: the queue before an engine, and the thread that empties it."""
