"""What can go wrong with rollouts."""

from headwater.errors import FailedPrecondition, InvalidArgument, NotFound


class RolloutNotFound(NotFound):
    """No rollout of this name is there."""

    reason = "ROLLOUT_NOT_FOUND"
    text = "No such rollout."


class RolloutActive(FailedPrecondition):
    """Another version is being rolled out to the deployment."""

    reason = "ROLLOUT_ACTIVE"
    text = "Another version is being rolled out to this deployment; abort or promote that first."


class RolloutOver(FailedPrecondition):
    """The rollout has ended, or is not in the state that this starts from."""

    reason = "ROLLOUT_OVER"


class InvalidRollout(InvalidArgument):
    """The plan contradicts itself or the deployment."""

    reason = "INVALID_ROLLOUT"
