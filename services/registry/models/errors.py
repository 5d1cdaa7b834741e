"""What can go wrong with models."""

from headwater.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound


class ModelNotFound(NotFound):
    """There is no such model."""

    reason = "MODEL_NOT_FOUND"
    text = "There is no such model."


class ModelAlreadyExists(AlreadyExists):
    """The name is taken, whatever its case."""

    reason = "MODEL_ALREADY_EXISTS"
    text = "A model of this name exists already (case does not matter)."


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


class InvalidAlias(InvalidArgument):
    """A text that means something else where an alias is used."""

    reason = "INVALID_ALIAS"
    text = "An alias cannot be the name of a stage or look like a version number."


class InvalidFiles(InvalidArgument):
    """The files of a version do not fit together."""

    reason = "INVALID_MODEL_FILES"
    text = "The files of the version do not fit together."


class ObjectiveAlreadyExists(AlreadyExists):
    """The name is taken, whatever its case."""

    reason = "OBJECTIVE_ALREADY_EXISTS"
    text = "The model has an objective of this name already (case does not matter)."


class ObjectiveNotMet(FailedPrecondition):
    """The version may not enter the stage: the metadata has the objective, its metric and bound, and the value."""

    reason = "OBJECTIVE_NOT_MET"
