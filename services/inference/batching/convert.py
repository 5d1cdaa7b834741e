"""A deployment's batching between protobuf and the domain. 0 stands for a default; what is shown is what holds."""

from headwater.inference.v1 import batching_pb2, deployments_pb2
from services.inference.batching.options import (
    DEFAULT_MAX_BATCH_ROWS,
    DEFAULT_MAX_QUEUE_REQUESTS,
    Batching,
    PaddedInput,
    PaddedOutput,
    Padding,
)


def batching_from_proto(message: deployments_pb2.Batching) -> Batching:
    """How requests are to be batched.

    Raises:
        InvalidBatching: what is said contradicts itself.
    """
    batching = Batching(
        max_batch_rows=message.max_batch_size or DEFAULT_MAX_BATCH_ROWS,
        max_queue_requests=message.max_queue_size or DEFAULT_MAX_QUEUE_REQUESTS,
        max_delay_s=message.max_delay.ToNanoseconds() / 1e9,
        preferred_rows=tuple(sorted(message.preferred_batch_sizes)),
        priority_levels=message.priority_levels,
        default_priority=message.default_priority_level,
        queue_timeout_s=message.queue_timeout.ToNanoseconds() / 1e9,
        padding=tuple([_padding_from_proto(each) for each in message.padding]),
    )
    batching.check()
    return batching


def batching_to_proto(batching: Batching) -> deployments_pb2.Batching:
    """The same as the API shows it."""
    message = deployments_pb2.Batching(
        max_batch_size=batching.max_batch_rows,
        max_queue_size=batching.max_queue_requests,
        preferred_batch_sizes=batching.preferred_rows,
        priority_levels=batching.priority_levels,
        default_priority_level=batching.default_priority,
        padding=[_padding_to_proto(each) for each in batching.padding],
    )
    if batching.max_delay_s:
        message.max_delay.FromNanoseconds(round(batching.max_delay_s * 1e9))
    if batching.queue_timeout_s:
        message.queue_timeout.FromNanoseconds(round(batching.queue_timeout_s * 1e9))
    return message


def _padding_from_proto(message: batching_pb2.Padding) -> Padding:
    return Padding(
        tuple([PaddedInput(each.name, each.dimension, each.value) for each in message.inputs]),
        tuple([PaddedOutput(each.name, each.dimension) for each in message.outputs]),
        tuple(message.sizes),
    )


def _padding_to_proto(padding: Padding) -> batching_pb2.Padding:
    return batching_pb2.Padding(
        inputs=[
            batching_pb2.Padding.Input(name=each.name, dimension=each.dimension, value=each.value)
            for each in padding.inputs
        ],
        outputs=[batching_pb2.Padding.Output(name=each.name, dimension=each.dimension) for each in padding.outputs],
        sizes=padding.sizes,
    )
