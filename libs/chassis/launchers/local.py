"""The local launcher."""

from chassis.launchers.protocol import Launcher


class LocalLauncher(Launcher):
    """The local launcher."""
