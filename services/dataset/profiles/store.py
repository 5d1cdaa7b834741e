"""What must be remembered of profiles, as a Protocol."""

from collections.abc import Sequence
from typing import Protocol

from headwater.names import DatasetVersionName, ProfileName
from services.dataset.profiles.model import Claim, Outcome, Profile


class Profiles(Protocol):
    """Profiles, and who computes them: one process at a time, by a lease."""

    async def create_profile(self, profile: Profile) -> Profile:
        """Add a profile of a version that exists, to be computed; its time and number are the store's."""
        ...

    async def get_profile(self, name: ProfileName) -> Profile:
        """One profile.

        Raises:
            DatasetNotFound, VersionNotFound, InvalidVersion, ProfileNotFound
        """
        ...

    async def list_profiles(self, version: DatasetVersionName, below: int | None, limit: int) -> Sequence[Profile]:
        """The profiles of a version without their columns, newest first, from the one before number ``below``.

        Raises:
            DatasetNotFound, VersionNotFound, InvalidVersion
        """
        ...

    async def claim_profile(self, owner: str, ttl_s: float) -> Claim | None:
        """The oldest profile that is to be computed and that no other owner computes now; None when there is none."""
        ...

    async def renew_profile(self, claim: Claim, ttl_s: float, rows_done: int) -> None:
        """Keep the claim for ``ttl_s`` from now, and tell how far it has come.

        Raises:
            LeaseLost: it has run out, or somebody else goes on.
        """
        ...

    async def release_profile(self, claim: Claim) -> None:
        """Give the claim back, so that somebody else can go on at once."""
        ...

    async def end_profile(self, claim: Claim, outcome: Outcome) -> None:
        """Bring the profile to its one end.

        Raises:
            LeaseLost: and nothing has happened.
        """
        ...
