"""What is refused of rows before any of them is looked at."""

from headwater.errors import InvalidArgument


class SchemaDiffers(InvalidArgument):
    """The rows do not have the columns of the version that they are compared with."""

    reason = "SCHEMA_DIFFERS"
    text = "The rows have other columns than the version."
