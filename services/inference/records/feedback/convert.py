"""Feedback between protobuf and the domain."""

from google.protobuf import json_format

from headwater.inference.v1 import feedback_pb2
from headwater.names import InferenceRecordName, InvalidName
from services.inference.records.feedback.model import Feedback, InvalidFeedback, Said


def feedback_from_proto(message: feedback_pb2.InferenceFeedback, project: str, caller: str, field: str) -> Feedback:
    """What ``caller`` says of a request of this project.

    Raises:
        InvalidName: it is said of no record of this project.
        InvalidFeedback: a number that JSON does not know.
    """
    name = InferenceRecordName.parse(message.record, f"{field}.record")
    if name.project != project:
        raise InvalidName(f"{field}.record must be one of projects/{project}.", field=f"{field}.record")
    try:
        truth = json_format.MessageToDict(message.ground_truth) if message.HasField("ground_truth") else None
    except (ValueError, json_format.SerializeToJsonError) as error:
        raise InvalidFeedback("The numbers of a ground truth must be finite.", field=field) from error
    said = Said(
        truth,
        message.score if message.HasField("score") else None,
        tuple(message.actions),
        dict(message.explanation),
    )
    return Feedback(name.record, message.feedback_id or said.digest(), project, said, caller)


def feedback_to_proto(feedback: Feedback) -> feedback_pb2.InferenceFeedback:
    """The same as the API shows it."""
    said = feedback.said
    message = feedback_pb2.InferenceFeedback(
        record=str(InferenceRecordName(feedback.project, feedback.request_id)),
        feedback_id=feedback.feedback_id,
        score=said.score,
        actions=said.actions,
        explanation=said.explanation,
        created_by=feedback.created_by,
    )
    if said.ground_truth is not None:
        json_format.ParseDict(said.ground_truth, message.ground_truth)
    if feedback.create_time is not None:
        message.create_time.FromDatetime(feedback.create_time)
    return message
