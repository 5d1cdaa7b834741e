"""What profiles refuse, by name."""

from headwater.errors import Internal, NotFound


class ProfileNotFound(NotFound):
    """The version has no such profile."""

    reason = "PROFILE_NOT_FOUND"
    text = "The version has no such profile."


class ProfileGivenUp(Internal):
    """Every attempt has ended with its process."""

    reason = "PROFILE_GIVEN_UP"
    text = "The profile was given up: each process that computed it came to an end before it was complete."
