"""What the dataset service refuses, by name. What the tree refuses of the rows is in ``headwater.tree.errors``."""

from headwater.datasets.states import HOW_TO_COPY
from headwater.errors import (
    Aborted,
    AlreadyExists,
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    OutOfRange,
    ResourceExhausted,
)


class DatasetNotFound(NotFound):
    """No dataset has this name."""

    reason = "DATASET_NOT_FOUND"
    text = "There is no such dataset."


class DatasetAlreadyExists(AlreadyExists):
    """The name is taken, if only in another case: names that differ in case alone would be mistaken for each other."""

    reason = "DATASET_ALREADY_EXISTS"
    text = "A dataset has this name already."


class InvalidKeyColumns(InvalidArgument):
    """A column is named twice, has no name, or is not among the latest version's."""

    reason = "INVALID_KEY_COLUMNS"
    text = "Key columns must have names, and each must come once."


class VersionNotFound(NotFound):
    """The dataset has no such version."""

    reason = "DATASET_VERSION_NOT_FOUND"
    text = "The dataset has no such version."


class InvalidVersion(InvalidArgument):
    """Not a semantic version of the form ``v1.2.3``."""

    reason = "INVALID_VERSION"
    text = "A dataset's version must look like v1.2.3."


class VersionNotGreater(FailedPrecondition):
    """Versions only grow; one that was given out is never given again."""

    reason = "VERSION_NOT_GREATER"
    text = "The version must be greater than every version of the dataset so far."


class SplitNotFound(NotFound):
    """The version has no such split."""

    reason = "SPLIT_NOT_FOUND"
    text = "The version has no such split."


class NoRowsStored(FailedPrecondition):
    """The version says where its rows are, and no checkpoint holds a copy of them."""

    reason = "NO_ROWS_STORED"
    text = f"No rows of the version are stored. {HOW_TO_COPY}"


class PlaceChanged(Aborted):
    """The columns of a place are not those that GetFlightInfo told of."""

    reason = "PLACE_CHANGED"
    text = "The columns at the place have changed since the reader was told of them: ask again."


class CheckpointNotFound(NotFound):
    """The version has no such checkpoint with a copy of its rows."""

    reason = "CHECKPOINT_NOT_FOUND"
    text = "The version has no such checkpoint with rows."


class ViewNeedsVersion(InvalidArgument):
    """Views belong to versions; a commit, branch or tag has none."""

    reason = "VIEW_NEEDS_VERSION"
    text = "A view is of a version: name the version."


class RowOutOfRange(OutOfRange):
    """The split does not have so many rows."""

    reason = "ROW_OUT_OF_RANGE"
    text = "The split does not have so many rows."


class ColumnNotFound(InvalidArgument):
    """The split has no such column."""

    reason = "COLUMN_NOT_FOUND"
    text = "The split has no such column."


class UploadNotFound(NotFound):
    """The dataset has no such upload."""

    reason = "UPLOAD_NOT_FOUND"
    text = "There is no such upload."


class UploadNotOpen(FailedPrecondition):
    """The upload was committed, aborted, or has expired."""

    reason = "UPLOAD_NOT_OPEN"
    text = "The upload takes nothing more."


class UploadEmpty(FailedPrecondition):
    """An upload without any split cannot become a version."""

    reason = "UPLOAD_EMPTY"
    text = "No rows were put into the upload."


class SplitSchemasDiffer(FailedPrecondition):
    """All splits of a version have the same columns."""

    reason = "SPLIT_SCHEMAS_DIFFER"
    text = "The splits of the upload have different columns."


class SourceFileConflict(AlreadyExists):
    """The path was named before with another digest or size."""

    reason = "SOURCE_FILE_CONFLICT"
    text = "A source file was named before with another content."


class InvalidSourcePath(InvalidArgument):
    """Not a relative path of plain segments."""

    reason = "INVALID_SOURCE_PATH"
    text = "A source file's path must be relative, with '/' between segments, and no '.' or '..' among them."


class UnknownCommand(InvalidArgument):
    """The Flight descriptor names nothing that this service has."""

    reason = "UNKNOWN_FLIGHT_COMMAND"
    text = "The Flight descriptor is neither a command nor a path of this service."


class InvalidColumnName(InvalidArgument):
    """A column's name holds a control character."""

    reason = "INVALID_COLUMN_NAME"
    text = "A column's name must not hold control characters."


class MalformedSchema(InvalidArgument):
    """The bytes are no Arrow IPC schema message."""

    reason = "MALFORMED_SCHEMA"
    text = "arrow_schema must be an Arrow IPC schema message."


class SchemaTooLarge(InvalidArgument):
    """The schema with its metadata is larger than what can be kept of it."""

    reason = "SCHEMA_TOO_LARGE"
    text = "The schema with its metadata is too large."


class SelectionTooLarge(InvalidArgument):
    """The names of the columns do not fit into a ticket."""

    reason = "SELECTION_TOO_LARGE"
    text = "The names of the columns do not fit into a ticket: ask for fewer columns, or for all."


class PackCorrupt(DataLoss):
    """A pack does not hold what the catalogue says it holds (promise 5)."""

    reason = "PACK_CORRUPT"
    text = "Stored rows do not match their digest."


class Collected(Aborted):
    """Chunks that this upload relied on are gone; it can only have expired while it was idle."""

    reason = "UPLOAD_COLLECTED"
    text = "The upload was given up while rows were put into it."


class TooManyReads(ResourceExhausted):
    """As many streams that take memory while they are read as the service has room for are being read."""

    reason = "TOO_MANY_READS"
    text = "Too many shuffled, batched or filtered streams of rows are being read at once."


class TooManyPuts(ResourceExhausted):
    """As many streams as the service takes at once are being put."""

    reason = "TOO_MANY_PUTS"
    text = "Too many streams of rows are being put at once."


class ShardOutOfRange(InvalidArgument):
    """The shard's index is not below the number of shards."""

    reason = "SHARD_OUT_OF_RANGE"
    text = "shard_index must be less than shard_count."
