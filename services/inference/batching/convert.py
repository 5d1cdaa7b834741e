"""A deployment's batching between protobuf and the domain."""

from headwater.inference.v1 import deployments_pb2
from services.inference.batching.options import DEFAULT_MAX_BATCH_ROWS, DEFAULT_MAX_QUEUE_REQUESTS, Batching


def batching_from_proto(message: deployments_pb2.Batching) -> Batching:
    """How requests are to be batched; 0 stands for the default."""
    return Batching(
        message.max_batch_size or DEFAULT_MAX_BATCH_ROWS, message.max_queue_size or DEFAULT_MAX_QUEUE_REQUESTS
    )


def batching_to_proto(batching: Batching) -> deployments_pb2.Batching:
    """The same as the API shows it."""
    return deployments_pb2.Batching(max_batch_size=batching.max_batch_rows, max_queue_size=batching.max_queue_requests)
