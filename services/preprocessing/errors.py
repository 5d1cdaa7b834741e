"""The named errors of this service, beside those of pipelines themselves (``headwater.transforms.errors``)."""

from headwater.errors import AlreadyExists, NotFound


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
