"""Rollouts between protobuf and the domain."""

from headwater.inference.v1 import rollouts_pb2
from services.inference.traffic.rollouts.errors import InvalidRollout
from services.inference.traffic.rollouts.model import Event, Evidence, Objectives, Plan, Rollout, State, Step

_DEFAULT_STEPS = tuple(Step(weight, 100, 60.0) for weight in (1.0, 5.0, 25.0, 50.0))
_DEFAULT_OBJECTIVES = Objectives(max_error_rate=0.01)
_ALL = 100.0


def plan_from_proto(message: rollouts_pb2.RolloutPlan) -> Plan:
    """The plan, with its defaults.

    Raises:
        InvalidRollout: its parts contradict each other, or a step has no end that could come.
    """
    if message.version:
        raise InvalidRollout("The version is chosen by candidate; leave plan.version empty.", field="plan.version")
    steps = tuple(Step(each.weight_percent, each.min_requests, each.min_seconds) for each in message.steps)
    steps = steps or _DEFAULT_STEPS
    given = message.objectives
    objectives = Objectives(
        given.max_error_rate if given.HasField("max_error_rate") else None,
        given.max_p99_ms if given.HasField("max_p99_ms") else None,
        given.min_agreement if given.HasField("min_agreement") else None,
        given.max_drift_psi if given.HasField("max_drift_psi") else None,
    )
    if objectives == Objectives():
        objectives = _DEFAULT_OBJECTIVES
    compares = objectives.min_agreement is not None or any(not step.weight_percent for step in steps)
    shadow_percent = message.shadow_percent or (_ALL if compares else 0.0)
    for position, (step, before) in enumerate(zip(steps, (None, *steps), strict=False)):
        field = f"plan.steps[{position}]"
        if before is not None and step.weight_percent <= before.weight_percent:
            raise InvalidRollout("Each step must have a larger share than the one before.", field=field)
        if not step.min_requests and not step.min_seconds:
            raise InvalidRollout("A step must last: give it min_requests, min_seconds or both.", field=field)
        if step.weight_percent >= _ALL and objectives.min_agreement is not None:
            text = "With min_agreement no step can take all requests: what the main version answers is compared."
            raise InvalidRollout(text, field=field)
    return Plan("", steps, objectives, shadow_percent)


def rollout_to_proto(rollout: Rollout, evidence: Evidence | None = None, waits_for: str = "") -> rollouts_pb2.Rollout:
    """The rollout as the API shows it, with what this replica has measured in its present step."""
    message = rollouts_pb2.Rollout(
        name=str(rollout.name),
        plan=_plan_to_proto(rollout.plan),
        state=_state(rollout.state),
        step=rollout.step,
        weight_percent=rollout.weight_percent,
        waits_for=waits_for,
        events=[_event_to_proto(event) for event in rollout.events],
        created_by=rollout.created_by,
        etag=rollout.etag,
    )
    if evidence is not None:
        message.evidence.CopyFrom(_evidence_to_proto(evidence))
    message.create_time.FromDatetime(rollout.create_time)
    message.update_time.FromDatetime(rollout.update_time)
    message.step_time.FromDatetime(rollout.step_time)
    return message


def _plan_to_proto(plan: Plan) -> rollouts_pb2.RolloutPlan:
    wanted = plan.objectives
    return rollouts_pb2.RolloutPlan(
        version=plan.version,
        steps=[
            rollouts_pb2.RolloutStep(
                weight_percent=step.weight_percent, min_requests=step.min_requests, min_seconds=step.min_seconds
            )
            for step in plan.steps
        ],
        objectives=rollouts_pb2.RolloutObjectives(
            max_error_rate=wanted.max_error_rate,
            max_p99_ms=wanted.max_p99_ms,
            min_agreement=wanted.min_agreement,
            max_drift_psi=wanted.max_drift_psi,
        ),
        shadow_percent=plan.shadow_percent,
    )


def _event_to_proto(event: Event) -> rollouts_pb2.RolloutEvent:
    message = rollouts_pb2.RolloutEvent(
        kind=rollouts_pb2.RolloutEvent.Kind.Value(f"KIND_{event.kind.name}"),
        step=event.step,
        weight_percent=event.weight_percent,
        actor=event.actor,
        reason=event.reason,
    )
    message.event_time.FromDatetime(event.time)
    if event.evidence is not None:
        message.evidence.CopyFrom(_evidence_to_proto(event.evidence))
    return message


def _evidence_to_proto(evidence: Evidence) -> rollouts_pb2.RolloutEvidence:
    largest = evidence.largest_difference
    return rollouts_pb2.RolloutEvidence(
        request_count=evidence.requests,
        error_count=evidence.errors,
        errors=evidence.reasons,
        p99_ms=evidence.p99_ms,
        compared_count=evidence.compared,
        agreed_count=evidence.agreed,
        largest_difference=float("inf") if largest is None else largest,
        drift_row_count=evidence.drift_rows,
        drifted_feature=evidence.drifted,
        drift_psi=evidence.drift_psi,
    )


def _state(state: State) -> "rollouts_pb2.Rollout.State.ValueType":
    return rollouts_pb2.Rollout.State.Value(f"STATE_{state.name}")
