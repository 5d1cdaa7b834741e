"""Finds the profile that a version is compared with."""

from headwater.errors import FailedPrecondition, InvalidArgument, NotFound
from headwater.names import DatasetVersionName
from services.inference.drift.options import Drift
from services.inference.drift.profile import Profile
from services.inference.drift.profiles import Profiles
from services.inference.models.source import ModelVersion

_LEARNT = "requests are compared with the first ones"


class Baselines:
    """By what a deployment says, or else by what the registry knows that the version was trained on."""

    def __init__(self, profiles: Profiles) -> None:
        self._profiles = profiles

    async def of(self, version: ModelVersion, drift: Drift) -> tuple[Profile | None, str]:
        """The profile, or None and why there is none.

        Raises:
            NoProfile, NotFound: the deployment names a dataset version, and there is no profile of it.
            Unavailable: nobody can say now.
        """
        if drift.dataset_version:
            return await self._profiles.newest(drift.dataset_version, drift.split), ""
        trained_on = version.dataset_versions
        if len(trained_on) != 1:
            known = f"{len(trained_on)} are known" if trained_on else "none is known"
            return None, f"There is not one dataset version that it was trained on ({known}); {_LEARNT}."
        try:
            DatasetVersionName.parse(trained_on[0])
            return await self._profiles.newest(trained_on[0], drift.split), ""
        except InvalidArgument:
            return None, f"{trained_on[0]} is not in Headwater; {_LEARNT}."
        except (NotFound, FailedPrecondition) as error:
            return None, f"{str(error).rstrip('.')}; {_LEARNT}."
