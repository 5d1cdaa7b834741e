"""What can be wrong with parity records, and with what they are compared to."""

from headwater.errors import FailedPrecondition, InvalidArgument


class ParityInvalid(InvalidArgument):
    """The record, or what one is to be made of, contradicts itself; the text says where."""

    reason = "PARITY_INVALID"


class ParityMismatch(FailedPrecondition):
    """A sample does not give here what it gave when the record was made.

    ``metadata``: ``sample``, its index; ``part``, ``preprocessing`` or the name of an output; ``expected`` and ``got``,
    digests; ``environment``, how this machine differs from that of the record, empty where it does not.
    """

    reason = "PARITY_MISMATCH"


class RuntimeMissing(FailedPrecondition):
    """The model cannot be run here to record what it answers."""

    reason = "RUNTIME_MISSING"
