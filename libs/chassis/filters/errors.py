"""What is refused of a condition."""

from headwater.errors import InvalidArgument


class InvalidFilter(InvalidArgument):
    """The text is no condition over the columns; the sentence says what is wrong."""

    reason = "INVALID_FILTER"
    text = "The filter is not a valid condition."
