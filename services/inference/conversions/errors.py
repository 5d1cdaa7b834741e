"""What can go wrong with conversion jobs."""

from headwater.errors import FailedPrecondition, InvalidArgument, NotFound


class ConversionNotFound(NotFound):
    """No job of this name is there."""

    reason = "CONVERSION_NOT_FOUND"
    text = "No such conversion job."


class ConversionOver(FailedPrecondition):
    """The job has ended, and stays as it is."""

    reason = "CONVERSION_OVER"


class InvalidConversion(InvalidArgument):
    """What is asked for contradicts itself or the version."""

    reason = "INVALID_CONVERSION"


class NothingChosen(FailedPrecondition):
    """The job has nothing that could be written into the deployment."""

    reason = "NOTHING_CHOSEN"


class CannotConvert(FailedPrecondition):
    """The file cannot be made into this form; the text says why."""

    reason = "CANNOT_CONVERT"


class NotAccurate(FailedPrecondition):
    """What came out answers otherwise than the source, by more than the gate allows."""

    reason = "NOT_ACCURATE"
