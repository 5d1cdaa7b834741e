"""Preprocessing pipelines, run by one engine wherever they run: in preprocessing jobs, in training, and in serving.

    pipeline = Pipeline.parse(Path("digits-prep.yaml").read_text())
    tensors = pipeline.prepare([Path("7.png").read_bytes()])

Needs the extra ``transforms``.
"""
