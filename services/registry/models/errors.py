"""What can go wrong with models."""

from headwater.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted


class ModelNotFound(NotFound):
    """There is no such model."""

    reason = "MODEL_NOT_FOUND"
    text = "There is no such model."


class ModelAlreadyExists(AlreadyExists):
    """The name is taken, whatever its case."""

    reason = "MODEL_ALREADY_EXISTS"
    text = "A model of this name exists already (case does not matter)."


class ModelArchived(FailedPrecondition):
    """The model was taken out of use: it can be read, and nothing new begins with it."""

    reason = "MODEL_ARCHIVED"
    text = "The model is archived: reactivate it first."


class InvalidReplacement(InvalidArgument):
    """What is to be used instead is not there, archived, or the thing itself."""

    reason = "INVALID_REPLACEMENT"


class InvalidAlias(InvalidArgument):
    """A text that means something else where an alias is used."""

    reason = "INVALID_ALIAS"
    text = "An alias cannot be the name of a stage or look like a version number."


class ObjectiveAlreadyExists(AlreadyExists):
    """The name is taken, whatever its case."""

    reason = "OBJECTIVE_ALREADY_EXISTS"
    text = "The model has an objective of this name already (case does not matter)."


class TooManyAliases(ResourceExhausted):
    """A model has a bounded number of aliases: all of them are told whenever it is."""

    reason = "TOO_MANY_ALIASES"
    text = "The model would have too many aliases."
