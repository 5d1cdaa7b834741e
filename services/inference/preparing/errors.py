"""What can be wrong with raw inputs, and with the pipelines that are to prepare them."""

from headwater.errors import FailedPrecondition, InvalidArgument


class NoPipeline(FailedPrecondition):
    """The deployment takes raw bytes only, and the version cannot prepare them; the text says why."""

    reason = "NO_PIPELINE"


class RawRefused(InvalidArgument):
    """The request does not bring what the deployment takes, raw bytes or tensors, or the raw bytes are too much."""

    reason = "RAW_REFUSED"


class RowUnusable(InvalidArgument):
    """A row of ``raw`` cannot be prepared; ``metadata`` has the ``row`` and the ``step`` of the pipeline."""

    reason = "ROW_INVALID"


class PipelineDamaged(FailedPrecondition):
    """The pipeline that was recorded with the version cannot be run by this release, or is not what its digest says."""

    reason = "PIPELINE_DAMAGED"
