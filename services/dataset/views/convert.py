"""Between the protos of views and values; pure."""

from headwater.dataset.v1 import views_pb2
from headwater.errors import InvalidArgument
from services.dataset.convert import timestamp
from services.dataset.views.model import View

_SETTABLE = {"filter", "description"}


def view_to_proto(view: View) -> views_pb2.DatasetView:
    """A view."""
    return views_pb2.DatasetView(
        name=str(view.name),
        filter=view.filter,
        description=view.description,
        create_time=timestamp(view.create_time),
        created_by=view.created_by,
    )


def check_new_view(view: views_pb2.DatasetView) -> None:
    """Go on if nothing is said about the view but what a caller may say, or InvalidArgument."""
    for field, _ in view.ListFields():
        if field.name not in _SETTABLE:
            raise InvalidArgument("Of a new view, only filter and description can be set.", field=f"view.{field.name}")
