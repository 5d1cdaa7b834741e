"""What both embedded servers share."""

from headwater.errors import FailedPrecondition


class ServerDidNotStart(FailedPrecondition):
    """The server could not be started; the text says why in one sentence."""

    reason = "EMBEDDED_SERVER_DID_NOT_START"
    text = "The server did not start."
