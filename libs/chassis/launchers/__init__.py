"""Where work runs: gangs of processes and parallel maps, on this machine or on a Ray cluster."""

from chassis.launchers.local import LocalLauncher
from chassis.launchers.protocol import DoesNotFit, Gang, GangResult, Launcher, MapResult, WorkerKilled
from chassis.launchers.ray import RayLauncher
from chassis.launchers.spec import GangSpec, InvalidGang

__all__ = [
    "DoesNotFit",
    "Gang",
    "GangResult",
    "GangSpec",
    "InvalidGang",
    "Launcher",
    "LocalLauncher",
    "MapResult",
    "RayLauncher",
    "WorkerKilled",
]
