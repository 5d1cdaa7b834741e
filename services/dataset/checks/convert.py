"""Between the protos of checks and values; pure."""

from chassis.rpc.validation import parse
from headwater.dataset.v1 import flight_pb2
from headwater.names import check_segment
from headwater.tree import digest_text
from services.dataset.checks.model import Checked

_SPLIT = "train"


def command_from(data: bytes) -> flight_pb2.CheckCommand:
    """The command that a descriptor holds, with a split.

    Raises:
        InvalidArgument: it is none.
    """
    command = parse(flight_pb2.CheckCommand.FromString, data)
    assert isinstance(command, flight_pb2.CheckCommand)
    command.split = check_segment(command.split or _SPLIT, "split")
    return command


def checked_to_proto(checked: Checked) -> flight_pb2.CheckResult:
    """The result."""
    return flight_pb2.CheckResult(
        digest=digest_text(checked.digest) if checked.digest else "",
        row_count=checked.row_count,
        problem_count=checked.problem_count,
    )
