"""What a deployment says about its queue and its batches."""

import dataclasses

DEFAULT_MAX_BATCH_ROWS = 64
DEFAULT_MAX_QUEUE_REQUESTS = 1024


@dataclasses.dataclass(frozen=True, slots=True)
class Batching:
    """How requests are batched (see batching.queue.Limits)."""

    max_batch_rows: int = DEFAULT_MAX_BATCH_ROWS
    max_queue_requests: int = DEFAULT_MAX_QUEUE_REQUESTS
