"""The value of a view."""

import dataclasses
import datetime

from headwater.names import DatasetName, DatasetVersionName, ViewName


@dataclasses.dataclass(frozen=True, slots=True)
class View:
    """One filter on one version (M-27)."""

    name: ViewName
    filter: str
    """As ``filters.Filter.parse`` reads it, and valid for the version's columns."""
    description: str
    created_by: str
    create_time: datetime.datetime

    @property
    def version(self) -> DatasetVersionName:
        """The version whose rows it selects."""
        return DatasetVersionName(self.name.project, self.name.dataset, self.name.version)

    @property
    def dataset(self) -> DatasetName:
        """Whose version that is."""
        return DatasetName(self.name.project, self.name.dataset)


def view_name(version: DatasetVersionName, view: str) -> ViewName:
    """The name of a view of a version.

    Raises:
        InvalidName
    """
    return ViewName(version.project, version.dataset, version.version, view)
