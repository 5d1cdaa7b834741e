"""All commands of ``headwater model``, registered with ``app``."""

from headwater.cli.model import (
    collections,
    comparing,
    converting,
    listing,
    pointers,
    registering,
    showing,
    stages,
    states,
)
from headwater.cli.model.app import app

__all__ = [
    "app",
    "collections",
    "comparing",
    "converting",
    "listing",
    "pointers",
    "registering",
    "showing",
    "stages",
    "states",
]
