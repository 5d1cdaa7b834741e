"""All commands of ``headwater deployment``, registered with ``app``."""

from headwater.cli.deployment import configuring, rolling_back, rollouts, routing, serving
from headwater.cli.deployment.app import app

__all__ = ["app", "configuring", "rolling_back", "rollouts", "routing", "serving"]
