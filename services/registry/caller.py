"""From the call that is being answered to the origin of the change that it makes."""

from google.protobuf.message import Message

from chassis.auth import current_principal
from chassis.db.requests import body_digest
from services.registry.origin import Origin


def origin(request: Message, request_id: str = "") -> Origin:
    """Who asks, and by which request; the method is named by its request, ``CreateRunRequest``."""
    return Origin(
        actor=current_principal().subject,
        method=request.DESCRIPTOR.full_name,
        request_id=request_id,
        body_digest=body_digest(request) if request_id else "",
    )
