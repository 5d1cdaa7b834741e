"""What can be wrong with pipelines and with the rows that they are run on."""

from headwater.errors import FailedPrecondition, InvalidArgument


class PipelineInvalid(InvalidArgument):
    """The pipeline document has faults; the message names every one of them."""

    reason = "PIPELINE_INVALID"


class RowInvalid(InvalidArgument):
    """A row cannot be processed; the message names it."""

    reason = "ROW_INVALID"


class ColumnMissing(FailedPrecondition):
    """The dataset version has no column that the pipeline could work on."""

    reason = "COLUMN_MISSING"


class PipelineMisfit(FailedPrecondition):
    """The model does not take what the pipeline leaves; the text says what each has."""

    reason = "PIPELINE_MISFIT"
