"""The ray launcher."""

from chassis.launchers.protocol import Launcher


class RayLauncher(Launcher):
    """The ray launcher."""
