"""Whether a rollout goes on, goes back or waits: decided from what was measured, and nothing else."""

import dataclasses
import datetime

from services.inference.traffic.rollouts.model import Evidence, Kind, Plan, Rollout, State


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """What is to happen, why, and on what evidence."""

    kind: Kind
    reason: str
    evidence: Evidence


def decide(rollout: Rollout, evidence: Evidence, trouble: str, now: datetime.datetime) -> Decision | None:
    """What is to happen to an active rollout; None for nothing yet. ``trouble`` says why the version cannot answer.

    An objective is judged when the step has its requests, and before that as soon as so much has gone wrong that it
    cannot hold any more when the step has them: ten errors are enough where of a hundred requests one may fail, but one
    of the first three is not.
    """
    broken = _broken(rollout.plan, rollout.step, evidence) or trouble
    if broken:
        return Decision(Kind.ROLLED_BACK, broken, evidence)
    if rollout.state is not State.RUNNING or waits_for(rollout, evidence, now):
        return None
    last = rollout.step == len(rollout.plan.steps) - 1
    return Decision(Kind.SUCCEEDED if last else Kind.ADVANCED, _held(evidence), evidence)


def waits_for(rollout: Rollout, evidence: Evidence, now: datetime.datetime) -> str:
    """What the present step still waits for; empty for nothing."""
    step = rollout.plan.steps[rollout.step]
    missing_s = step.min_seconds - (now - rollout.step_time).total_seconds()
    missing = step.min_requests - evidence.requests if step.weight_percent else 0
    compares = rollout.plan.objectives.min_agreement is not None or not step.weight_percent
    missing_copies = step.min_requests - evidence.compared if compares else 0
    parts = []
    if missing > 0:
        parts.append(f"{missing} more requests")
    if missing_copies > 0:
        parts.append(f"{missing_copies} more comparisons")
    if rollout.plan.objectives.max_drift_psi is not None and not evidence.drift_rows:
        parts.append("a window of drift")
    if missing_s > 0:
        parts.append(f"{missing_s:.0f} s")
    return ", ".join(parts)


def _broken(plan: Plan, position: int, evidence: Evidence) -> str:
    wanted, least = plan.objectives, plan.steps[position].min_requests
    requests = max(evidence.requests, least, 1)
    if wanted.max_error_rate is not None and evidence.errors > wanted.max_error_rate * requests:
        named = ", ".join(f"{count} {reason}" for reason, count in sorted(evidence.reasons.items()))
        allowed = f"{wanted.max_error_rate:.3%} may fail"
        return f"{evidence.errors} of {evidence.requests} requests failed ({named}); {allowed}"
    if wanted.max_p99_ms is not None and evidence.requests >= max(least, 1) and evidence.p99_ms > wanted.max_p99_ms:
        return f"the p99 is {evidence.p99_ms:.3g} ms; {wanted.max_p99_ms:g} ms are allowed"
    if wanted.min_agreement is not None:
        compared = max(evidence.compared, least, 1)
        disagreed = evidence.compared - evidence.agreed
        if disagreed > (1 - wanted.min_agreement) * compared * (1 + 1e-9):
            needed = f"{wanted.min_agreement:.3%} must"
            return f"{evidence.agreed} of {evidence.compared} answers agree with the main version's; {needed}"
    if wanted.max_drift_psi is not None and evidence.drift_psi > wanted.max_drift_psi:
        return (
            f"{evidence.drifted} has drifted by a PSI of {evidence.drift_psi:.3g}; {wanted.max_drift_psi:g} is allowed"
        )
    return ""


def _held(evidence: Evidence) -> str:
    parts = [f"{evidence.errors} of {evidence.requests} requests failed"]
    if evidence.compared:
        parts.append(f"{evidence.agreed} of {evidence.compared} answers agreed")
    return ", ".join(parts)
