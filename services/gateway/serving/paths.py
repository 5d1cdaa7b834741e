"""The paths of the pages about what is served. A page's path is the name of what it shows."""

from typing import Final

DEPLOYMENTS: Final = "/projects/{project}/deployments"
DEPLOYMENT: Final = DEPLOYMENTS + "/{deployment}"
ROLLOUTS: Final = DEPLOYMENT + "/rollouts"
ROLLOUT: Final = ROLLOUTS + "/{rollout}"
INCIDENTS: Final = "/projects/{project}/incidents"
INCIDENT: Final = INCIDENTS + "/{incident}"
RECORDS: Final = "/projects/{project}/inferenceRecords"
RECORD: Final = RECORDS + "/{record}"
