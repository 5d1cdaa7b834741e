"""All commands of ``headwater deployment``, registered with ``app``."""

from headwater.cli.deployment import configuring, drift, rolling_back, rollouts, routing, serving
from headwater.cli.deployment.app import app

__all__ = ["app", "configuring", "drift", "rolling_back", "rollouts", "routing", "serving"]
