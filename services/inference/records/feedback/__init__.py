"""What turned out to be true of predictions, and how useful they were."""
