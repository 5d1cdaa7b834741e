"""What can be wrong with files that are to become rows. Each error names the file."""

from headwater.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound


class SourceNotFound(NotFound):
    """There is no such file or folder."""

    reason = "SOURCE_NOT_FOUND"
    text = "There is no such file or folder."


class SourceEmpty(InvalidArgument):
    """A folder or file that should hold rows holds none."""

    reason = "SOURCE_EMPTY"
    text = "There is nothing to read."


class SourceUnreadable(FailedPrecondition):
    """A file cannot be opened or read, for want of permission or because of the disk."""

    reason = "SOURCE_UNREADABLE"
    text = "A file cannot be read."


class SourceOutside(InvalidArgument):
    """A symbolic link leads out of the folder, or to another folder."""

    reason = "SOURCE_OUTSIDE"
    text = "A symbolic link leads out of the folder."


class SourceUnsupported(InvalidArgument):
    """A file or folder is of no kind that rows can be read from, or stands where it cannot."""

    reason = "SOURCE_UNSUPPORTED"
    text = "A file is of no kind that rows can be read from."


class SourceMalformed(InvalidArgument):
    """A file is not what its name says, or its rows differ from those of the other files."""

    reason = "SOURCE_MALFORMED"
    text = "A file is malformed."


class SourceChanged(Aborted):
    """A file changed while it was read; try again once nobody writes to it."""

    reason = "SOURCE_CHANGED"
    text = "A file changed while it was being read."


class InvalidSplitBy(InvalidArgument):
    """How to split is not said in a way that can be followed."""

    reason = "INVALID_SPLIT_BY"
    text = "The rows cannot be split this way."
