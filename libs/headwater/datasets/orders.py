"""Asking for rows in an order of their own."""

import numbers
from typing import Any

from headwater.dataset.v1 import flight_pb2
from headwater.errors import InvalidArgument

_END = 1 << 64


def shuffle(command: flight_pb2.GetCommand, seed: int, epoch: int) -> None:
    """Let the command ask for the order that these two numbers choose.

    Raises:
        InvalidArgument: one of them is no whole number from 0 to 2^64 - 1.
    """
    given: dict[str, Any] = {"seed": seed, "epoch": epoch}
    for name, value in given.items():
        if not isinstance(value, numbers.Integral) or not 0 <= int(value) < _END:
            raise InvalidArgument(f"A shuffled order's {name} is a whole number from 0 to 2^64 - 1.", field=name)
    command.shuffle.seed, command.shuffle.epoch = seed, epoch
