"""How deployments, rollouts, incidents and requests stand, in words. Colours and signs only repeat the words."""

import dataclasses
from collections.abc import Mapping
from typing import Final

from headwater.inference.v1 import deployments_pb2, incidents_pb2, rollouts_pb2

_D, _R, _I = deployments_pb2.Deployment, rollouts_pb2.Rollout, incidents_pb2.Incident


@dataclasses.dataclass(frozen=True, slots=True)
class Standing:
    """A word, and how good that is: ``good``, ``warn``, ``bad`` or ``off``, of which colour and sign are made."""

    word: str
    tone: str
    means: str = ""
    """The word in a sentence."""


_UNKNOWN: Final = Standing("unknown", "off")

_DEPLOYMENTS: Final[Mapping[int, Standing]] = {
    _D.STATE_WAITING: Standing("waiting", "warn", "No version can answer yet: none is chosen, or it is being loaded."),
    _D.STATE_READY: Standing("ready", "good", "Its version is loaded and in place."),
    _D.STATE_FAILED: Standing("failed", "bad", "The version that it should serve cannot be loaded."),
    _D.STATE_ROLLED_BACK: Standing(
        "rolled back", "warn", "An earlier version answers, because the one that was chosen is set aside."
    ),
    _D.STATE_UNLOADED: Standing(
        "paused", "off", "Nothing is loaded for it and nothing answers until somebody says so."
    ),
    _D.STATE_ARCHIVED: Standing("archived", "off", "It serves no more. Its records stay."),
}
_ROLLOUTS: Final[Mapping[int, Standing]] = {
    _R.STATE_RUNNING: Standing("running", "good", "It goes on by itself while its objectives hold."),
    _R.STATE_PAUSED: Standing("paused", "warn", "It goes no step further until somebody says so."),
    _R.STATE_SUCCEEDED: Standing("succeeded", "good", "The version became the deployment's own."),
    _R.STATE_ROLLED_BACK: Standing(
        "rolled back", "bad", "An objective did not hold; requests go where they did before."
    ),
    _R.STATE_ABORTED: Standing("aborted", "off", "It was ended; requests go where they did before."),
}
_INCIDENTS: Final[Mapping[int, Standing]] = {
    _I.STATE_OPEN: Standing("open", "bad", "It lasts."),
    _I.STATE_RECOVERED: Standing("recovered", "warn", "It passed by itself; nobody has closed it yet."),
    _I.STATE_RESOLVED: Standing("resolved", "good", "Somebody said that nothing is left to do."),
}
KINDS: Final[Mapping[int, str]] = {
    _I.KIND_BREAKER_OPENED: "the breaker of a version opened",
    _I.KIND_ROLLED_BACK: "the deployment went back to an earlier version",
    _I.KIND_CANARY_ABORTED: "a version that was being rolled out was taken back",
    _I.KIND_FALLBACKS_EXHAUSTED: "neither the version nor a fallback could answer",
    _I.KIND_DRIFTED: "what is asked or answered is unlike what the version was trained on",
    _I.KIND_ENGINE_CRASHED: "the process of an engine ended again and again",
    _I.KIND_DRIFTED: "what a version is asked, or answers, is unlike what it was trained on",
}
"""What happened in an incident."""


def of_deployment(deployment: deployments_pb2.Deployment) -> Standing:
    """Whether it answers."""
    return _DEPLOYMENTS.get(deployment.state, _UNKNOWN)


def of_rollout(rollout: rollouts_pb2.Rollout) -> Standing:
    """How far it came."""
    return _ROLLOUTS.get(rollout.state, _UNKNOWN)


def of_incident(incident: incidents_pb2.Incident) -> Standing:
    """Whether it lasts, and whether somebody has closed it."""
    return _INCIDENTS.get(incident.state, _UNKNOWN)


def of_result(result_code: str) -> Standing:
    """How a request ended."""
    if result_code == "OK":
        return Standing("answered", "good", "It was answered.")
    return Standing(result_code or "unknown", "bad", "It was refused, or failed, for this reason.")


def kind_of(incident: incidents_pb2.Incident) -> str:
    """What happened; of an inference service of a later release, perhaps only that something did."""
    return KINDS.get(incident.kind, "its defence acted")
