"""InferenceFeedbackService: convert, call, convert."""

from typing import Any

from chassis.auth import current_principal
from headwater.inference.v1 import feedback_pb2, feedback_pb2_grpc
from headwater.names import InferenceRecordName, ProjectName
from services.inference.records.feedback.convert import feedback_from_proto, feedback_to_proto
from services.inference.records.feedback.feedback import Feedbacks


class InferenceFeedbackServicer(feedback_pb2_grpc.InferenceFeedbackServiceServicer):
    """See protos/headwater/inference/v1/feedback.proto."""

    def __init__(self, feedbacks: Feedbacks) -> None:
        self._feedbacks = feedbacks

    async def RecordFeedback(
        self, request: feedback_pb2.RecordFeedbackRequest, _context: Any
    ) -> feedback_pb2.RecordFeedbackResponse:
        """See the proto."""
        project, caller = ProjectName.parse(request.parent, "parent").project, current_principal().subject
        said = [
            feedback_from_proto(message, project, caller, f"feedback[{number}]")
            for number, message in enumerate(request.feedback)
        ]
        return feedback_pb2.RecordFeedbackResponse(new_count=await self._feedbacks.say(project, said))

    async def ListFeedback(
        self, request: feedback_pb2.ListFeedbackRequest, _context: Any
    ) -> feedback_pb2.ListFeedbackResponse:
        """See the proto."""
        name = InferenceRecordName.parse(request.parent, "parent")
        page = await self._feedbacks.page(name, request.page_size, request.page_token)
        return feedback_pb2.ListFeedbackResponse(
            feedback=[feedback_to_proto(each) for each in page.items], next_page_token=page.next_page_token
        )
