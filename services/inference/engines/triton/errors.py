"""How a remote model fails. What the server said is the cause of each, for the log; callers are told our own words."""

from headwater.errors import Unavailable
from services.inference.engines.engine import ModelRefused

RETRY_MS = 1_000


class RemoteAway(Unavailable):
    """The server does not answer, or does not have the model ready."""

    reason = "REMOTE_UNAVAILABLE"
    text = "The server that computes this model is not available."


class RemoteBusy(Unavailable):
    """The server has as many requests waiting as it takes."""

    reason = "REMOTE_BUSY"
    text = "The server that computes this model has too much to do."


class RemoteNotReady(ModelRefused):
    """The server cannot be reached, or does not have the model ready, when the deployment is to begin."""

    reason = "REMOTE_NOT_READY"
    text = "The server that is to compute this model is not ready."


class RemoteRefused(ModelRefused):
    """What the server has is not what the version in the registry is."""

    reason = "REMOTE_MODEL_REFUSED"
    text = "The remote model is not the one that is to be served."
