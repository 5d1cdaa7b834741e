"""Where the profiles of dataset versions come from."""

from collections.abc import Mapping
from typing import Protocol

from headwater.errors import FailedPrecondition
from services.inference.drift.profile import Profile


class NoProfile(FailedPrecondition):
    """Nobody has made a profile of the dataset version that could be compared with."""

    reason = "NO_PROFILE"


class Profiles(Protocol):
    """The dataset service, or its twin in memory."""

    async def newest(self, dataset_version: str, split: str) -> Profile:
        """The newest complete profile of all of this dataset version, of this split; of the one to train on where
        ``split`` is empty.

        Raises:
            NoProfile: there is none.
            NotFound: there is no such dataset version.
            Unavailable: nobody can say now.
        """


class MemoryProfiles(Profiles):
    """Profiles by dataset version and split."""

    def __init__(self, profiles: Mapping[tuple[str, str], Profile] | None = None) -> None:
        self.profiles = dict(profiles or {})

    async def newest(self, dataset_version: str, split: str) -> Profile:
        """See Profiles."""
        splits = [name for version, name in self.profiles if version == dataset_version]
        sizes = {name: rows_of(self.profiles[dataset_version, name]) for name in splits}
        return self.profiles[dataset_version, choose_split(sizes, split, dataset_version)]


def rows_of(profile: Profile) -> int:
    """The rows of the split."""
    return max((column.rows for column in profile.columns.values()), default=0)


def choose_split(sizes: Mapping[str, int], wanted: str, dataset_version: str) -> str:
    """The split to compare with, of those that a profile has; raises NoProfile."""
    if not sizes:
        raise NoProfile(f"{dataset_version} has no profile.", dataset_version=dataset_version)
    if wanted and wanted not in sizes:
        raise NoProfile(
            f"The profile of {dataset_version} has the splits {', '.join(sorted(sizes))}, and not {wanted}.",
            dataset_version=dataset_version,
        )
    return wanted or ("train" if "train" in sizes else max(sizes, key=lambda name: (sizes[name], name)))
