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


class InvalidSemanticVersion(InvalidArgument):
    """Not a semantic version, or a date or time in the place of one."""

    reason = "INVALID_SEMANTIC_VERSION"
    text = "Not a semantic version like v1.2.3."


class VersionNotGreater(FailedPrecondition):
    """A semantic version is higher than all before; none is given twice, and none is made up for later."""

    reason = "VERSION_NOT_GREATER"


class BreakingChange(FailedPrecondition):
    """Inputs or outputs changed so that callers break, and the step of the semantic version does not say so."""

    reason = "BREAKING_CHANGE"


class InvalidUserMetadata(InvalidArgument):
    """A value that its key cannot have; the metadata names the key."""

    reason = "INVALID_USER_METADATA"


class MetadataConflict(InvalidArgument):
    """Two things said of a version contradict each other; the metadata names the key."""

    reason = "METADATA_CONFLICT"


class ModelVersionArchived(FailedPrecondition):
    """The version was taken out of use: it goes into no stage and under no deployment until it is reactivated."""

    reason = "MODEL_VERSION_ARCHIVED"
    text = "The version is archived: reactivate it, or use another one."


class UnsafeModel(FailedPrecondition):
    """Loading the version's files could run code that they bring; the text says what was found."""

    reason = "UNSAFE_MODEL"


class InUse(FailedPrecondition):
    """Something depends on it; the text says what. ``force`` goes on all the same."""

    reason = "IN_USE"


class TensorNotFound(NotFound):
    """No file of the version, or not the one asked for, has such a tensor."""

    reason = "TENSOR_NOT_FOUND"
    text = "The version has no such tensor there."


class AmbiguousTensor(InvalidArgument):
    """Several files of the version have a tensor of this name: the path says which is meant."""

    reason = "AMBIGUOUS_TENSOR"


class TensorNotInOnePiece(FailedPrecondition):
    """The bytes of the tensor do not lie in the file as they are: it is compressed, strided, or in another file."""

    reason = "TENSOR_NOT_IN_ONE_PIECE"
    text = "The tensor's bytes do not lie in the file as they are; download the file."
