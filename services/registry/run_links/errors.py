"""What can go wrong with what runs read and made."""

from headwater.errors import FailedPrecondition, ResourceExhausted


class DataInputConflict(FailedPrecondition):
    """Data of this name and digest was described otherwise before; only tags may be added."""

    reason = "DATA_INPUT_CONFLICT"
    text = "The run has an input of this name and digest that is described otherwise."


class TooManyLinks(ResourceExhausted):
    """A run has a bounded number of inputs and outputs."""

    reason = "TOO_MANY_RUN_INPUTS"
    text = "The run would have too many inputs or outputs."
