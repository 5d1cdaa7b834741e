"""What a deployment says about its queue and its batches. docs/reference/batching.md tells how to choose."""

import dataclasses
from typing import Self

from headwater.errors import InvalidArgument

DEFAULT_MAX_BATCH_ROWS = 64
DEFAULT_MAX_QUEUE_REQUESTS = 1024
MAX_PRIORITY_LEVELS = 32
MAX_PADDINGS = 4


class InvalidBatching(InvalidArgument):
    """The options of a queue contradict each other, or the model that they are for."""

    reason = "INVALID_BATCHING"


@dataclasses.dataclass(frozen=True, slots=True)
class PaddedInput:
    """A dimension of an input that is filled up with ``value``; dimension 0 counts the rows and is never padded."""

    name: str
    dimension: int
    value: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class PaddedOutput:
    """A dimension of an output that is as long as the padded inputs, and is cut back to what the request had."""

    name: str
    dimension: int


@dataclasses.dataclass(frozen=True, slots=True)
class Padding:
    """One length that varies from request to request, and the dimensions of tensors that have it.

    Every request is filled up to the next of ``sizes``, or to the next power of two where there are none; one that is
    longer than all of them is computed as it is. Whoever writes this down promises that the model's answer does not
    depend on what it is filled up with.
    """

    inputs: tuple[PaddedInput, ...]
    outputs: tuple[PaddedOutput, ...] = ()
    sizes: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Batching:
    """How requests are queued and batched. See the proto's Batching, whose words these are."""

    max_batch_rows: int = DEFAULT_MAX_BATCH_ROWS
    max_queue_requests: int = DEFAULT_MAX_QUEUE_REQUESTS
    max_delay_s: float = 0.0
    """The longest that a request may be kept back so that others join it; 0: an idle engine never waits."""
    preferred_rows: tuple[int, ...] = ()
    """Batches of these sizes are formed while there is enough for one."""
    priority_levels: int = 0
    """1 is the first; 0: there are none."""
    default_priority: int = 0
    """The level of a request that names none; 0: the last."""
    queue_timeout_s: float = 0.0
    """The longest that a request may wait to be computed; 0: as long as its caller does."""
    padding: tuple[Padding, ...] = ()

    def check(self) -> None:
        """Return if this can be done.

        Raises:
            InvalidBatching: it contradicts itself.
        """
        for rows in self.preferred_rows:
            if rows > self.max_batch_rows:
                raise InvalidBatching(
                    f"A preferred batch size must be at most max_batch_size, {self.max_batch_rows}; one is {rows}.",
                    field="batching.preferred_batch_sizes",
                )
        if self.default_priority > self.priority_levels:
            raise InvalidBatching(
                f"default_priority_level must be at most priority_levels, {self.priority_levels}; "
                f"it is {self.default_priority}.",
                field="batching.default_priority_level",
            )
        for padding in self.padding:
            _check_padding(padding)
        dimensions = [(each.name, each.dimension) for padding in self.padding for each in padding.inputs]
        dimensions += [(each.name, each.dimension) for padding in self.padding for each in padding.outputs]
        for position, (name, dimension) in enumerate(dimensions):
            if (name, dimension) in dimensions[:position]:
                raise InvalidBatching(
                    f"Dimension {dimension} of {name!r} is padded twice.", field="batching.padding", tensor=name
                )


@dataclasses.dataclass(frozen=True, slots=True)
class Limits(Batching):
    """The bounds of one model's queue. A request with more rows than a batch may have is computed by itself."""

    max_queue_bytes: int = 256 * 2**20

    @classmethod
    def of(cls, batching: Batching, max_queue_bytes: int) -> Self:
        """What a deployment says, with the bound that is the service's."""
        said = {field.name: getattr(batching, field.name) for field in dataclasses.fields(Batching)}
        return cls(**said, max_queue_bytes=max_queue_bytes)


def _check_padding(padding: Padding) -> None:
    if not padding.inputs:
        raise InvalidBatching("A padding must name the inputs that it fills up.", field="batching.padding")
    if list(padding.sizes) != sorted(set(padding.sizes)):
        raise InvalidBatching("The sizes of a padding must grow.", field="batching.padding.sizes")
