"""What the tree refuses. Each is an InvalidArgument: the same rows are refused again, by server and client alike."""

from headwater.errors import InvalidArgument


class UnsupportedType(InvalidArgument):
    """A column's type has no canonical encoding."""

    reason = "UNSUPPORTED_COLUMN_TYPE"
    text = "A column has a type that rows cannot have."


class InvalidSchema(InvalidArgument):
    """The schema as a whole cannot be that of a dataset: no columns, a name twice, nested too deeply."""

    reason = "INVALID_SCHEMA"
    text = "The schema cannot be that of a dataset."


class SchemaChanged(InvalidArgument):
    """A batch does not have the schema that the stream began with."""

    reason = "SCHEMA_CHANGED"
    text = "A batch has another schema than the stream it came in."


class MalformedRows(InvalidArgument):
    """A batch is not valid Arrow, or holds a value that its type cannot have."""

    reason = "MALFORMED_ROWS"
    text = "A batch of rows is malformed."


class RowTooLarge(InvalidArgument):
    """One row's canonical encoding is larger than a chunk may be."""

    reason = "ROW_TOO_LARGE"
    text = "A row is larger than the 8 MiB that a row may have."


class InvalidSplits(InvalidArgument):
    """The splits cannot be those of one version: none, a name twice, an empty name."""

    reason = "INVALID_SPLITS"
    text = "The splits cannot be those of one version."
