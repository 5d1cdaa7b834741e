"""What is refused of chunks that a client has cut itself."""

from headwater.errors import FailedPrecondition, InvalidArgument, ResourceExhausted


class ChunkNotStored(FailedPrecondition):
    """A client names a chunk that is not stored, or not in the layout of the rows that it sends."""

    reason = "CHUNK_NOT_STORED"
    text = "A chunk that was named instead of sent is not stored: ask FindMissingChunks which have to be sent."


class ChunksNotCanonical(InvalidArgument):
    """Two chunks meet where the rows are not cut: the split's digest would not be that of its rows."""

    reason = "CHUNKS_NOT_CANONICAL"
    text = "The rows are not cut into chunks where headwater.tree/1 says."


class MalformedPutMessage(InvalidArgument):
    """The metadata of a message is no PutMessage, or its digests are not 32 bytes each."""

    reason = "MALFORMED_PUT_MESSAGE"
    text = "The metadata of a message must be a PutMessage, whose digests have 32 bytes each."


class SplitTooLarge(ResourceExhausted):
    """The split has more chunks than can be written at once."""

    reason = "SPLIT_TOO_LARGE"
    text = "The split has too many chunks."
