"""What can go wrong with versions of models."""

from headwater.errors import FailedPrecondition, InvalidArgument, NotFound


class ModelVersionNotFound(NotFound):
    """The model has no such version."""

    reason = "MODEL_VERSION_NOT_FOUND"
    text = "The model has no such version."


class StageIsEmpty(NotFound):
    """No version of the model holds the stage now."""

    reason = "STAGE_IS_EMPTY"
    text = "No version of the model is in this stage."


class AliasNotFound(NotFound):
    """The model has no such alias."""

    reason = "ALIAS_NOT_FOUND"
    text = "The model has no such alias."


class InvalidFiles(InvalidArgument):
    """The files of a version do not fit together."""

    reason = "INVALID_MODEL_FILES"
    text = "The files of the version do not fit together."


class ObjectiveNotMet(FailedPrecondition):
    """The version may not enter the stage: the metadata has the objective, its metric and bound, and the value."""

    reason = "OBJECTIVE_NOT_MET"
