"""What ends a process before it serves."""


class StartupError(Exception):
    """The process cannot start; the text is one sentence for the operator that names the remedy."""
