"""A data loader that knows what it has handed out."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from torch.utils.data import DataLoader

from headwater.torch.dataset import FlightDataset

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext


class FlightLoader(DataLoader[Any]):
    """Torch's DataLoader for a FlightDataset, with ``state_dict`` and ``load_state_dict`` for any number of workers.

    The batches come in the dataset's order, whatever the number of workers. What workers have read ahead and nobody
    has been given does not count. Passes need no ``set_epoch``, workers that persist neither.

    Workers help where ``decode`` is slow: reading and making tensors is done by a thread already.
    """

    def __init__(
        self,
        dataset: FlightDataset,
        *,
        num_workers: int = 0,
        prefetch_factor: int | None = None,
        pin_memory: bool = False,
        persistent_workers: bool = False,
        multiprocessing_context: "str | BaseContext | None" = None,
        worker_init_fn: Callable[[int], None] | None = None,
        timeout: float = 0,
    ) -> None:
        """See torch.utils.data.DataLoader for what the parameters mean."""
        super().__init__(
            dataset,
            batch_size=None,
            num_workers=num_workers,
            prefetch_factor=prefetch_factor,
            pin_memory=pin_memory,
            persistent_workers=persistent_workers,
            multiprocessing_context=multiprocessing_context,
            worker_init_fn=worker_init_fn,
            timeout=timeout,
        )
        self._flight = dataset

    def state_dict(self) -> dict[str, Any]:
        """What to go on from; see FlightDataset."""
        return self._flight.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let the next pass go on from where the state was taken; see FlightDataset."""
        self._flight.load_state_dict(state)

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        return self._flight.counted(super().__iter__) if self.num_workers else super().__iter__()
