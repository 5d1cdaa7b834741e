"""What can go wrong with stages and aliases."""

from headwater.errors import InvalidArgument


class TimeNotReached(InvalidArgument):
    """What will hold at a time that lies ahead cannot be known."""

    reason = "TIME_NOT_REACHED"
    text = "This time has not come yet by the clock of the registry's database."
