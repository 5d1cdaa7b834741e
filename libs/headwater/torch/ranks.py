"""Which reader of how many this process is."""

import os

from torch import distributed

from headwater.errors import InvalidArgument


def rank_and_world_size(rank: int | None, world_size: int | None) -> tuple[int, int]:
    """As given; else as torch.distributed says; else as RANK and WORLD_SIZE say; else the only one.

    Raises:
        InvalidArgument: they do not fit each other.
    """
    if (rank is None) != (world_size is None):
        raise InvalidArgument("Give both rank and world_size, or neither.")
    if rank is None or world_size is None:
        if distributed.is_available() and distributed.is_initialized():
            rank, world_size = distributed.get_rank(), distributed.get_world_size()
        else:
            rank, world_size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if not 0 <= rank < world_size:
        raise InvalidArgument(f"There is no reader {rank} of {world_size}.")
    return rank, world_size
