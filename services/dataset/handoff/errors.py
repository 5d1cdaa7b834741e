"""Why files are not handed off."""

from headwater.errors import FailedPrecondition, InvalidArgument


class NotLocal(FailedPrecondition):
    """The caller is on another host, as far as its connection tells."""

    reason = "NOT_LOCAL"
    text = "Files can be handed only to a reader on the same host: read the rows with DoGet."


class RowsScattered(FailedPrecondition):
    """A filter or an order picks rows one by one; no file has them side by side."""

    reason = "ROWS_SCATTERED"
    text = "Rows that a filter or an order picks are not side by side in files: read them with DoGet."


class OneShardOnly(InvalidArgument):
    """Several shards are asked for at once."""

    reason = "ONE_SHARD_ONLY"
    text = "Files are named for one shard at a time: set shard_index."
