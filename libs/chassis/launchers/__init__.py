"""Where work runs: gangs of processes and parallel maps, on this machine or on a Ray cluster."""

from chassis.launchers.protocol import Gang, GangResult, GangSpec, Launcher, MapResult

__all__ = ["Gang", "GangResult", "GangSpec", "Launcher", "MapResult"]
