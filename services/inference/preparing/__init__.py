"""From what clients have to what models take: the pipeline that was recorded with a version, run on raw bytes."""
