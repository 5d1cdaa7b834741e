"""Makes incidents of what is known when something trips."""

import datetime

from chassis.clock import Clock
from chassis.ids import new_id
from services.inference.deployments.loaded import Loaded
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


def incident_of(kind: Kind, reason: str, loaded: Loaded, clock: Clock, *others: Version) -> Incident:
    """An incident of ``loaded``, which fails, with its last requests and what was measured of it."""
    failing = Version("failing", str(loaded.version.name), loaded.version.digest)
    watch, name, now = loaded.watch, loaded.deployment.name, clock.now()
    evidence = Evidence(
        tuple(_request(seen, clock) for seen in watch.last()[-MAX_REQUESTS:]),
        watch.window.read(clock.monotonic()),
        (failing, *others),
        watch.guarding,
    )
    reason = shortened(reason)
    timeline = (Event(now, reason),)
    return Incident(new_id(), name.project, name.deployment, kind, reason, now, evidence=evidence, timeline=timeline)


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
