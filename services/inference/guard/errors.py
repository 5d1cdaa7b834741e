"""What a deployment's defence says no with."""

from headwater.errors import FailedPrecondition, Unavailable


class BreakerOpen(Unavailable):
    """The version has failed so much that it is not asked for a while; other versions are not affected."""

    reason = "BREAKER_OPEN"
    text = "The model version fails and is not asked for a while."


class NothingToGoBackTo(FailedPrecondition):
    """No other version of the deployment is known to have served well, or none that still can be served."""

    reason = "NO_GOOD_VERSION"
    text = "There is no earlier version that served well; name the one to go back to."
