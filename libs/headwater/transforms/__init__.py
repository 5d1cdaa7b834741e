"""Preprocessing pipelines, run by one engine wherever they run: in preprocessing jobs, in training, and in serving.

    pipeline = Pipeline.parse(Path("digits-prep.yaml").read_text())
    images = pipeline.prepare_all([Path("7.png").read_bytes()])

Needs the extra ``transforms``.
"""

from typing import TYPE_CHECKING

from headwater.lazy import lazily

if TYPE_CHECKING:
    from headwater.transforms.engine import ENGINE_VERSION
    from headwater.transforms.errors import ColumnMissing, PipelineInvalid, PipelineMisfit, RowInvalid
    from headwater.transforms.pipeline import Pipeline

__getattr__ = lazily(
    __name__,
    {
        "engine": ["ENGINE_VERSION"],
        "errors": ["ColumnMissing", "PipelineInvalid", "PipelineMisfit", "RowInvalid"],
        "pipeline": ["Pipeline"],
    },
)

__all__ = ["ENGINE_VERSION", "ColumnMissing", "Pipeline", "PipelineInvalid", "PipelineMisfit", "RowInvalid"]
