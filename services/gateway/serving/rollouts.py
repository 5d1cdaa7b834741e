"""A rollout as pages show it: its steps, each with what was measured in it. Pure."""

import dataclasses
from collections.abc import Sequence

from headwater.datasets import figures
from headwater.inference.v1.rollouts_pb2 import Rollout, RolloutEvidence, RolloutObjectives, RolloutStep
from services.gateway.serving.standings import Standing
from services.gateway.serving.wording import lasting, ms, percent

ACTIVE = frozenset({Rollout.STATE_RUNNING, Rollout.STATE_PAUSED})
_LAST = {
    Rollout.STATE_RUNNING: Standing("now", "good"),
    Rollout.STATE_PAUSED: Standing("now, paused", "warn"),
    Rollout.STATE_SUCCEEDED: Standing("passed", "good"),
    Rollout.STATE_ROLLED_BACK: Standing("failed", "bad"),
    Rollout.STATE_ABORTED: Standing("ended", "off"),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One step of a rollout."""

    number: int
    """From 1."""
    share: str
    lasts: str
    """What it waits for at least, in words."""
    standing: Standing
    evidence: str
    """What was measured in it, in words; empty for nothing."""


def steps_of(rollout: Rollout) -> Sequence[Step]:
    """The steps in their order."""
    measured = _measured(rollout)
    return [
        Step(
            number + 1,
            percent(step.weight_percent) if step.weight_percent else "copies only",
            _lasts(step),
            _standing(rollout, number),
            said(measured[number]) if number in measured else "",
        )
        for number, step in enumerate(rollout.plan.steps)
    ]


def objectives(asked: RolloutObjectives) -> Sequence[str]:
    """What must hold, in words."""
    found = []
    if asked.HasField("max_error_rate"):
        found.append(f"at most {percent(100 * asked.max_error_rate)} of the requests fail")
    if asked.HasField("max_p99_ms"):
        found.append(f"p99 is at most {lasting(asked.max_p99_ms / 1000)}")
    if asked.HasField("min_agreement"):
        found.append(f"at least {percent(100 * asked.min_agreement)} of the answers agree with the main version's")
    if asked.HasField("max_drift_psi"):
        found.append(f"no feature drifts by a PSI of more than {asked.max_drift_psi:g}")
    if asked.HasField("max_drift_psi"):
        found.append(f"no feature has a PSI over {figures.number(asked.max_drift_psi)}")
    return found


def said(evidence: RolloutEvidence) -> str:
    """What was measured, in words."""
    parts = [f"{evidence.request_count:,} requests, {evidence.error_count:,} failed"]
    if evidence.errors:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(evidence.errors.items()))
        parts[0] += f" ({reasons})"
    if evidence.p99_ms:
        parts.append(f"p99 {lasting(evidence.p99_ms / 1000)}")
    if evidence.compared_count:
        parts.append(
            f"{evidence.agreed_count:,} of {evidence.compared_count:,} answers agreed, "
            f"largest difference {figures.number(evidence.largest_difference)}"
        )
    if evidence.drift_row_count:
        farthest = (
            f"{evidence.drifted_feature} {figures.number(evidence.drift_psi)}" if evidence.drifted_feature else "none"
        )
        parts.append(f"drift of {evidence.drift_row_count:,} rows: {farthest}")
    return "; ".join(parts)


def _measured(rollout: Rollout) -> dict[int, RolloutEvidence]:
    """By the number of the step, from 0: what led on from it or ended it, and what this replica has measured by now."""
    found, at = {}, 0
    for event in rollout.events:
        if event.HasField("evidence"):
            found[at] = event.evidence
        at = event.step
    if rollout.state in ACTIVE and rollout.HasField("evidence"):
        found[rollout.step] = rollout.evidence
    return found


def _standing(rollout: Rollout, number: int) -> Standing:
    if number == rollout.step:
        return _LAST.get(rollout.state, Standing("unknown", "off"))
    if number < rollout.step:
        return Standing("passed", "good")
    return Standing("to come" if rollout.state in ACTIVE else "not reached", "off")


def _lasts(step: RolloutStep) -> str:
    waits = [f"{step.min_requests:,} requests"] if step.min_requests else []
    if step.min_seconds:
        waits.append(ms(round(step.min_seconds * 1000)))
    return " and ".join(waits)
