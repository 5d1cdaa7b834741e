"""What is refused of a filter or an order."""

from headwater.errors import InvalidArgument


class InvalidFilter(InvalidArgument):
    """The filter cannot be read; the sentence says why, and at which character (the first is 1)."""

    reason = "INVALID_FILTER"
    text = "The filter cannot be read."


class InvalidOrder(InvalidArgument):
    """The order cannot be read; the sentence says why, and at which character (the first is 1)."""

    reason = "INVALID_ORDER"
    text = "The order cannot be read."
