"""What can go wrong with lineage."""

from headwater.errors import FailedPrecondition, InvalidArgument, NotFound


class LineageNodeNotFound(NotFound):
    """The graph has no such node: say what it is before, or together with, the edge that needs it."""

    reason = "LINEAGE_NODE_NOT_FOUND"
    text = "The lineage graph has no such node."


class ArtifactDigestConflict(FailedPrecondition):
    """The node is known with another digest; a name stands for one content for ever."""

    reason = "ARTIFACT_DIGEST_CONFLICT"
    text = "The artifact is known with another digest."


class LineageTooLarge(FailedPrecondition):
    """So much depends on it that it cannot be told exactly; ask for something nearer."""

    reason = "LINEAGE_TOO_LARGE"
    text = "Too much depends on it to be told exactly."


class InvalidConnection(InvalidArgument):
    """An edge or node that cannot be."""

    reason = "INVALID_CONNECTION"
    text = "Not a possible connection."
