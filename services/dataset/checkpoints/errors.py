"""What checkpoints refuse, by name. That there is none is ``CheckpointNotFound`` of ``services.dataset.errors``."""

from headwater.errors import AlreadyExists, FailedPrecondition, Internal


class CheckpointAlreadyExists(AlreadyExists):
    """A checkpoint of the version has the name, if only in another case."""

    reason = "CHECKPOINT_ALREADY_EXISTS"
    text = "A checkpoint of the version has this name already."


class CheckpointHasNoRows(FailedPrecondition):
    """The checkpoint has no copy of the rows: none was asked for, it is not complete yet, or it could not be made."""

    reason = "CHECKPOINT_HAS_NO_ROWS"
    text = "The checkpoint holds no rows that could be read."


class CheckpointGivenUp(Internal):
    """Every attempt has ended with its process."""

    reason = "CHECKPOINT_GIVEN_UP"
    text = "The checkpoint was given up: each process that made it came to an end before it was complete."
