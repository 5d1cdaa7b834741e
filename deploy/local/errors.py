"""What ends `up` early."""


class StackError(Exception):
    """The stack cannot be started; the text is one sentence with the remedy."""
