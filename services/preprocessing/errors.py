"""The named errors of this service."""

from headwater.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound


class PipelineInvalid(InvalidArgument):
    """The pipeline document has faults; the message names every one of them."""

    reason = "PIPELINE_INVALID"


class PipelineNotFound(NotFound):
    """No such pipeline version."""

    reason = "PIPELINE_NOT_FOUND"


class PipelineVersionConflict(AlreadyExists):
    """That version exists with another content; versions are immutable."""

    reason = "PIPELINE_VERSION_CONFLICT"
    text = "This version exists with another content. Give the pipeline a new version."


class JobNotFound(NotFound):
    """No such job."""

    reason = "PREPROCESSING_JOB_NOT_FOUND"


class RowInvalid(InvalidArgument):
    """A row cannot be processed; the message names it."""

    reason = "ROW_INVALID"


class ColumnMissing(FailedPrecondition):
    """The dataset version has no column that the pipeline could work on."""

    reason = "COLUMN_MISSING"
