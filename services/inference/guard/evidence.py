"""Makes incidents of what is known when something trips."""

import datetime

from chassis.clock import Clock
from chassis.ids import new_id
from headwater.names import DeploymentName
from services.inference.deployments.loaded import Loaded
from services.inference.deployments.model import Deployment
from services.inference.guard.watch import Seen
from services.inference.incidents.model import (
    MAX_REQUESTS,
    AskedRequest,
    Event,
    Evidence,
    Incident,
    Kind,
    Version,
    shortened,
)
from services.inference.models.source import ModelVersion


def incident_of(kind: Kind, reason: str, loaded: Loaded, clock: Clock, *others: Version) -> Incident:
    """An incident of ``loaded``, which fails, with its last requests and what was measured of it."""
    watch = loaded.watch
    evidence = Evidence(
        tuple(_request(seen, clock) for seen in watch.last()[-MAX_REQUESTS:]),
        watch.window.read(clock.monotonic()),
        (Version("failing", str(loaded.version.name), loaded.version.digest), *others),
        watch.guarding,
    )
    return _incident(kind, reason, loaded.deployment.name, evidence, clock)


def incident_unseen(
    kind: Kind, reason: str, deployment: Deployment, failing: ModelVersion, clock: Clock, *others: Version
) -> Incident:
    """An incident of a version that this process has not loaded, so that it knows of no requests to it."""
    versions = (Version("failing", str(failing.name), failing.digest), *others)
    return _incident(kind, reason, deployment.name, Evidence(versions=versions, rules=deployment.options.guard), clock)


def _incident(kind: Kind, reason: str, name: DeploymentName, evidence: Evidence, clock: Clock) -> Incident:
    reason, now = shortened(reason), clock.now()
    return Incident(
        new_id(),
        name.project,
        name.deployment,
        kind,
        reason,
        now,
        evidence=evidence,
        timeline=(Event(now, reason),),
    )


def _request(seen: Seen, clock: Clock) -> AskedRequest:
    return AskedRequest(
        clock.now() - datetime.timedelta(seconds=clock.monotonic() - seen.at),
        seen.request_id,
        shortened(seen.client_request_id),
        shortened(seen.caller),
        seen.seconds * 1000,
        seen.reason,
        shortened(seen.message),
    )
