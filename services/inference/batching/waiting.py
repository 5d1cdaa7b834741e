"""What waits in a queue, and what comes of it."""

import asyncio
import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from services.inference.tensors.model import Array

if TYPE_CHECKING:
    from services.inference.batching.padding import Padder

NEVER = math.inf

Shapes: TypeAlias = tuple[tuple[int, ...], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Computed:
    """The outputs for one request, its rows, and of the batch that it was computed in the rows and the time in the
    engine."""

    outputs: Sequence[Array]
    rows: int
    batch_rows: int
    engine_s: float


@dataclasses.dataclass(slots=True, eq=False)
class Waiting:
    """A request and the future of its answer. Requests whose ``fits_with`` are equal can be computed together."""

    inputs: Sequence[Array]
    rows: int
    fits_with: Shapes
    """The shapes without the rows, as they are computed: filled up where the deployment says so."""
    size_bytes: int
    answer: "asyncio.Future[Computed]"
    since: float
    level: int = 0
    """Its priority; a lower one goes first."""
    deadline: float = NEVER
    """When it is too late to begin with it."""
    padder: "Padder | None" = None
    """What fills it up and cuts it back; None: it is computed as it is."""
    lengths: tuple[int, ...] = ()
    """Its own lengths, one for each padding."""
    entry: "Entry | None" = None
    """Where it stands in the queue; None once it has left."""


Place: TypeAlias = tuple[int, float, int]
"""Level, urgency, number: smaller goes first. No two requests of a queue have the same number."""
Entry: TypeAlias = tuple[int, float, int, Waiting]
"""A place and who has it."""
