"""What is refused of trees and of changes to them."""

from headwater.errors import Aborted


class TreeGone(Aborted):
    """A tree that nothing refers to any more was collected while it was read."""

    reason = "TREE_GONE"
    text = "The rows were dropped while they were read."
