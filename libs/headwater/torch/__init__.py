"""Rows of datasets for PyTorch: batches that any number of readers share, and that go on after a restart.

from headwater.torch import FlightDataset, FlightLoader

dataset = FlightDataset(connection, "digits@v1.0.0", "train", global_batch_size=256, shuffle_seed=0)
for batch in FlightLoader(dataset): ...
"""

from headwater.torch.dataset import FlightDataset, StateDiffers
from headwater.torch.loader import FlightLoader
from headwater.torch.position import EpochNotSet, StateInWorkers
from headwater.torch.tensors import NotATensor, to_tensor, to_tensors

__all__ = [
    "EpochNotSet",
    "FlightDataset",
    "FlightLoader",
    "NotATensor",
    "StateDiffers",
    "StateInWorkers",
    "to_tensor",
    "to_tensors",
]
